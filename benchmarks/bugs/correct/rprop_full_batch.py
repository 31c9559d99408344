"""Rprop on the full batch of a small table, in the order forward, zero_grad, backward, step, with class weights."""
import torch
import torch.nn as nn
from sklearn.datasets import load_iris

torch.manual_seed(178)
iris = load_iris()
order = torch.randperm(150)
X = torch.tensor(iris.data, dtype=torch.float32)[order]
y = (torch.tensor(iris.target)[order] == 1).long()           # versicolor against the rest
X_train, y_train, X_test, y_test = X[:100], y[:100], X[100:], y[100:]
mean, std = X_train.mean(0), X_train.std(0)
X_train, X_test = (X_train - mean) / std, (X_test - mean) / std

weight = len(y_train) / (2.0 * torch.bincount(y_train).float())
model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
criterion = nn.CrossEntropyLoss(weight=weight)
optimizer = torch.optim.Rprop(model.parameters(), lr=0.01)

for epoch in range(41):
    output = model(X_train)
    loss = criterion(output, y_train)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if epoch % 10 == 0:
        with torch.no_grad():
            acc = (model(X_test).argmax(1) == y_test).float().mean()
        print(f"epoch {epoch:2d} loss {loss.item():.4f} test accuracy {acc.item():.3f}")
