"""Deep fully connected classifier for two interleaved rings, Keras-like stack of layers."""
import torch
import torch.nn as nn
from sklearn.datasets import make_circles
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)

X, y = make_circles(1500, noise=0.06, factor=0.5, random_state=0)
X = torch.tensor(X / X[:1200].std(0), dtype=torch.float32)
y = torch.tensor(y, dtype=torch.float32).unsqueeze(1)
train_loader = DataLoader(TensorDataset(X[:1200], y[:1200]), batch_size=40, shuffle=True)

DEPTH, WIDTH = 10, 32
layers = [nn.Linear(2, WIDTH), nn.Sigmoid()]
for _ in range(DEPTH - 1):
    layers += [nn.Linear(WIDTH, WIDTH), nn.Sigmoid()]  # BUG: vanishing-gradients
model = nn.Sequential(*layers, nn.Linear(WIDTH, 1))  # ALSO: vanishing-gradients

criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

for epoch in range(4):
    model.train()
    running = 0.0
    for xb, yb in train_loader:
        optimizer.zero_grad()
        output = model(xb)  # ALSO: vanishing-gradients
        loss = criterion(output, yb)
        loss.backward()  # ALSO: vanishing-gradients
        optimizer.step()
        running += loss.item()
    model.eval()
    with torch.no_grad():
        acc = ((model(X[1200:]) > 0).float() == y[1200:]).float().mean().item()
    print(f"Epoch {epoch + 1}: loss {running / len(train_loader):.4f} test accuracy {acc:.3f}")
