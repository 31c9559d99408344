"""Tabular classifier for the breast-cancer data with the training loop split into functions."""
import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def load_data(batch_size=32):
    X, y = load_breast_cancer(return_X_y=True)
    X_tr, X_te, y_tr, y_te = train_test_split(X, y, test_size=0.25, random_state=1, stratify=y)
    scaler = StandardScaler().fit(X_tr)

    def as_loader(X, y, shuffle):
        ds = TensorDataset(
            torch.from_numpy(scaler.transform(X)).float(),
            torch.from_numpy(y.astype(np.float32)).unsqueeze(1),
        )
        return DataLoader(ds, batch_size=batch_size, shuffle=shuffle)

    return as_loader(X_tr, y_tr, True), as_loader(X_te, y_te, False)


def get_model():
    return nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 1))


def train_one_epoch(model, loader, loss_fn, optimizer):
    model.train()
    running, seen = 0.0, 0
    for features, target in loader:
        optimizer.zero_grad()
        loss = loss_fn(model(features), target)
        loss.backward()  # BUG: gradients-never-applied
        running += loss.item() * len(target)
        seen += len(target)
    return running / seen


def test(model, loader):
    model.eval()
    correct = seen = 0
    with torch.no_grad():
        for features, target in loader:
            correct += ((model(features) > 0).float() == target).sum().item()
            seen += len(target)
    return correct / seen


if __name__ == "__main__":
    torch.manual_seed(0)
    train_loader, test_loader = load_data()
    model = get_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loss_fn = nn.BCEWithLogitsLoss()
    for epoch in range(8):
        loss = train_one_epoch(model, train_loader, loss_fn, optimizer)
        acc = test(model, test_loader)
        print(f"Epoch {epoch + 1}/8  loss={loss:.4f}  test_acc={acc:.4f}")
