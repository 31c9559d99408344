"""Predict house-price-like targets with gradient accumulation, functional style."""
import torch
from sklearn.datasets import make_friedman1
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def get_loaders(seed=0):
    X, y = make_friedman1(n_samples=1456, n_features=8, noise=0.3, random_state=seed)
    X, y = torch.tensor(X).float(), torch.tensor(y).float().unsqueeze(1)
    n_train = 1056
    y = (y - y[:n_train].mean()) / y[:n_train].std()
    X = (X - X[:n_train].mean(0)) / X[:n_train].std(0)
    train = DataLoader(TensorDataset(X[:n_train], y[:n_train]), batch_size=32, shuffle=True)
    val = DataLoader(TensorDataset(X[n_train:], y[n_train:]), batch_size=100)
    return train, val


def build(width=64):
    return nn.Sequential(nn.Linear(8, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1))


def train(model, loader, optimizer, criterion, accumulation_steps):
    model.train()
    epoch_loss = 0.0
    for i, (x, y) in enumerate(loader):
        loss = criterion(model(x), y)
        (loss / accumulation_steps).backward()
        if i % accumulation_steps == 0:  # BUG: offset-accumulation
            optimizer.step()  # ALSO: offset-accumulation
            optimizer.zero_grad()
        epoch_loss += loss.item()
    return epoch_loss / len(loader)


def evaluate(model, loader, criterion):
    model.eval()
    with torch.no_grad():
        return sum(criterion(model(x), y).item() for x, y in loader) / len(loader)


def main():
    torch.manual_seed(0)
    train_loader, val_loader = get_loaders()
    model = build()
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(10):
        tr = train(model, train_loader, optimizer, criterion, accumulation_steps=4)
        va = evaluate(model, val_loader, criterion)
        print(f"Epoch {epoch:02d} | train {tr:.4f} | val {va:.4f}")


if __name__ == "__main__":
    main()
