"""Quality-control classifier with four classes; the network is built from a list of layer sizes."""
import torch
from sklearn.datasets import make_blobs
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def build_mlp(sizes, dropout=0.0):
    layers = []
    for n_in, n_out in zip(sizes[:-1], sizes[1:]):
        layers.append(nn.Linear(n_in, n_out))
        layers.append(nn.ReLU())  # ALSO: rectified-logits
        if dropout:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


def get_loaders(batch_size):
    X, y = make_blobs(n_samples=1500, n_features=12, centers=4, cluster_std=4.0, random_state=3)
    X = torch.tensor((X - X[:1200].mean(0)) / X[:1200].std(0), dtype=torch.float32)
    y = torch.tensor(y)
    return (DataLoader(TensorDataset(X[:1200], y[:1200]), batch_size=batch_size, shuffle=True),
            DataLoader(TensorDataset(X[1200:], y[1200:]), batch_size=300))


def train(model, loader, criterion, optimizer):
    model.train()
    total = 0.0
    for X, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(X), y)  # BUG: rectified-logits
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(loader)


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    hits = n = 0
    for X, y in loader:
        hits += (model(X).argmax(1) == y).sum().item()
        n += len(y)
    return hits / n


if __name__ == "__main__":
    torch.manual_seed(2)
    train_loader, val_loader = get_loaders(40)
    model = build_mlp([12, 48, 24, 4])
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(5):
        loss = train(model, train_loader, criterion, optimizer)
        print(f"epoch {epoch}: loss {loss:.4f} val acc {accuracy(model, val_loader):.3f}")
