"""Tumour classifier with separate data loaders and a patience-based stop."""
import torch
import torch.nn as nn
from sklearn.datasets import load_breast_cancer
from torch.utils.data import DataLoader, TensorDataset, random_split

torch.manual_seed(0)

bunch = load_breast_cancer()
X = torch.tensor(bunch.data, dtype=torch.float32)
y = torch.tensor(bunch.target, dtype=torch.float32)
perm = torch.randperm(len(X))
X, y = X[perm], y[perm]
X = (X - X[:456].mean(0)) / X[:456].std(0)
train_dataset = TensorDataset(X[:456], y[:456])
val_dataset = TensorDataset(X[456:], y[456:])

train_loader = DataLoader(train_dataset, batch_size=24, shuffle=True)
val_loader = DataLoader(train_dataset, batch_size=114, shuffle=False)  # BUG: evaluated-on-training-data

model = nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 1), nn.Flatten(0))
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2)

best, patience, wait = float("inf"), 3, 0
for epoch in range(7):
    model.train()
    for inputs, targets in train_loader:
        optimizer.zero_grad()
        loss = criterion(model(inputs), targets)
        loss.backward()
        optimizer.step()

    model.eval()
    val_loss, val_correct = 0.0, 0
    with torch.no_grad():
        for inputs, targets in val_loader:  # ALSO: evaluated-on-training-data
            outputs = model(inputs)
            val_loss += criterion(outputs, targets).item() * len(targets)
            val_correct += ((outputs > 0).float() == targets).sum().item()
    n = len(val_loader.dataset)
    print(f"epoch {epoch}: val loss {val_loss / n:.4f} val acc {val_correct / n:.4f}")
    if val_loss < best:
        best, wait = val_loss, 0
    else:
        wait += 1
        if wait >= patience:
            print("early stop")
            break
