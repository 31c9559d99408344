"""Predict the progression of diabetes with a small neural network."""
import torch
import torch.nn as nn
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)

data = load_diabetes()
X_train, X_test, y_train, y_test = train_test_split(data.data, data.target, test_size=0.2, random_state=0)
mu, sd = X_train.mean(0), X_train.std(0)
ym, ys = y_train.mean(), y_train.std()
to_tensor = lambda a: torch.tensor(a, dtype=torch.float32)
train_ds = TensorDataset(to_tensor((X_train - mu) / sd), to_tensor((y_train - ym) / ys))
test_ds = TensorDataset(to_tensor((X_test - mu) / sd), to_tensor((y_test - ym) / ys))
train_dl = DataLoader(train_ds, batch_size=16, shuffle=True, drop_last=True)
test_dl = DataLoader(test_ds, batch_size=89)


class Regression(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 1))

    def forward(self, x):
        return self.layers(x)


model = Regression()
criterion = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=1e-4)

for epoch in range(8):
    model.train()
    train_loss = 0.0
    for X, y in train_dl:
        pred = model(X)
        loss = criterion(pred, y)  # BUG: broadcast-loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        train_loss += loss.item()
    model.eval()
    with torch.no_grad():
        sse = sum(((model(X).squeeze(1) - y) ** 2).sum().item() for X, y in test_dl)
    print(f"epoch {epoch}: train {train_loss / len(train_dl):.4f}, test r2 {1 - sse / len(test_ds) / test_ds.tensors[1].var().item():.3f}")
