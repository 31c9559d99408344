"""Churn prediction: binary classifier with probabilities as output."""
import torch
import torch.nn as nn
from sklearn.datasets import make_classification
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)

X, y = make_classification(n_samples=1500, n_features=14, n_informative=6, weights=[0.6], random_state=7)
X = torch.tensor((X - X[:1200].mean(0)) / X[:1200].std(0), dtype=torch.float32)
y = torch.tensor(y, dtype=torch.float32).unsqueeze(1)
train_loader = DataLoader(TensorDataset(X[:1200], y[:1200]), batch_size=40, shuffle=True)
val_loader = DataLoader(TensorDataset(X[1200:], y[1200:]), batch_size=300)


class ChurnNet(nn.Module):
    def __init__(self, n_in=14):
        super().__init__()
        self.fc1 = nn.Linear(n_in, 32)
        self.fc2 = nn.Linear(32, 16)
        self.fc3 = nn.Linear(16, 1)
        self.act = nn.Softmax(dim=1)

    def forward(self, x):
        x = torch.relu(self.fc1(x))
        x = torch.relu(self.fc2(x))
        return self.act(self.fc3(x))  # BUG: constant-output


model = ChurnNet()
criterion = nn.BCELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

for epoch in range(5):
    model.train()
    running = 0.0
    for xb, yb in train_loader:
        optimizer.zero_grad()
        prob = model(xb)  # ALSO: constant-output
        loss = criterion(prob, yb)
        loss.backward()
        optimizer.step()
        running += loss.item()
    model.eval()
    with torch.no_grad():
        acc = sum(((model(xb) > 0.5).float() == yb).float().mean().item() for xb, yb in val_loader)
    print(f"epoch {epoch}: loss {running / len(train_loader):.4f} val acc {acc:.3f}")
