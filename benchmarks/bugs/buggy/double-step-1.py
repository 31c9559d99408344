"""Logistic-regression and MLP baselines on the wine data with a reusable training step."""
import torch
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def train_step(model, batch, criterion, optimizer):
    x, y = batch
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()  # ALSO: double-step
    return loss.item()


def accuracy(model, x, y):
    model.eval()
    with torch.no_grad():
        return (model(x).argmax(1) == y).float().mean().item()


def fit(name, model, loader, x_val, y_val, epochs=15, lr=5e-3):
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    for epoch in range(epochs):
        model.train()
        total = 0.0
        for batch in loader:
            total += train_step(model, batch, criterion, optimizer)
            optimizer.step()  # BUG: double-step
        scheduler.step()
        if (epoch + 1) % 5 == 0:
            print(f"[{name}] epoch {epoch + 1}: loss {total / len(loader):.4f} "
                  f"val acc {accuracy(model, x_val, y_val):.3f}")


def main():
    torch.manual_seed(0)
    X, y = load_wine(return_X_y=True)
    X_tr, X_va, y_tr, y_va = train_test_split(X, y, test_size=0.25, random_state=0, stratify=y)
    scaler = StandardScaler().fit(X_tr)
    X_tr, X_va = (torch.tensor(scaler.transform(a), dtype=torch.float32) for a in (X_tr, X_va))
    y_tr, y_va = torch.tensor(y_tr), torch.tensor(y_va)
    loader = DataLoader(TensorDataset(X_tr, y_tr), batch_size=19, shuffle=True)
    fit("mlp", nn.Sequential(nn.Linear(13, 24), nn.ReLU(), nn.Linear(24, 3)), loader, X_va, y_va)


if __name__ == "__main__":
    main()
