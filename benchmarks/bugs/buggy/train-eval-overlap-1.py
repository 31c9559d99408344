"""Fraud-like imbalanced classification with oversampling of the rare class."""
import numpy as np
import torch
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def oversample(X, y, rng):
    rare, common = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    extra = rng.choice(rare, size=len(common) - len(rare), replace=True)
    idx = np.concatenate([common, rare, extra])
    rng.shuffle(idx)
    return X[idx], y[idx]


def prepare(seed=0):
    rng = np.random.default_rng(seed)
    X, y = make_classification(1100, 15, n_informative=6, weights=[0.88], class_sep=0.8, flip_y=0.02, random_state=seed)
    X, y = oversample(X, y, rng)  # ALSO: train-eval-overlap
    X_tr, X_va, y_tr, y_va = train_test_split(X, y, test_size=0.2, random_state=seed)  # BUG: train-eval-overlap
    mean, std = X_tr.mean(0), X_tr.std(0)

    def dataset(X, y):
        return TensorDataset(torch.tensor((X - mean) / std, dtype=torch.float32), torch.tensor(y, dtype=torch.float32))

    return dataset(X_tr, y_tr), dataset(X_va, y_va)


def fit(model, train_set, val_set, epochs=4, batch_size=48):
    train_loader = DataLoader(train_set, batch_size=batch_size, shuffle=True)
    val_loader = DataLoader(val_set, batch_size=128)
    criterion = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(epochs):
        model.train()
        for x, y in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(x).squeeze(1), y)
            loss.backward()
            optimizer.step()
        model.eval()
        tp = fp = fn = 0
        with torch.no_grad():
            for x, y in val_loader:  # ALSO: train-eval-overlap
                p = model(x).squeeze(1) > 0
                tp += (p & (y == 1)).sum().item()
                fp += (p & (y == 0)).sum().item()
                fn += (~p & (y == 1)).sum().item()
        print(f"epoch {epoch}: loss {loss.item():.4f} val f1 {2 * tp / max(1, 2 * tp + fp + fn):.3f}")


if __name__ == "__main__":
    torch.manual_seed(0)
    fit(nn.Sequential(nn.Linear(15, 64), nn.ReLU(), nn.Linear(64, 1)), *prepare())
