"""Stochastic weight averaging with torch.optim.swa_utils, SWALR and a train-mode pass that re-estimates batch norm."""
import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from torch.optim.swa_utils import SWALR, AveragedModel, update_bn
from torch.utils.data import DataLoader, TensorDataset


def accuracy(model, x, y):
    model.eval()
    with torch.no_grad():
        return (model(x).argmax(1) == y).float().mean().item()


def main():
    torch.manual_seed(87)
    X, Y = load_digits(return_X_y=True)
    order = torch.randperm(len(Y))
    X, Y = torch.tensor(X / 16 - 0.3, dtype=torch.float32)[order], torch.tensor(Y)[order]
    train = DataLoader(TensorDataset(X[:1400], Y[:1400]), batch_size=100, shuffle=True)
    model = nn.Sequential(nn.Linear(64, 48), nn.BatchNorm1d(48), nn.ReLU(), nn.Linear(48, 10))
    swa_model = AveragedModel(model)
    opt = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=5)
    swa_scheduler = SWALR(opt, swa_lr=0.1, anneal_epochs=1)
    swa_start = 4
    for epoch in range(8):
        model.train()
        total = 0.0
        for xb, yb in train:
            opt.zero_grad()
            loss = nn.functional.cross_entropy(model(xb), yb)
            loss.backward()
            opt.step()
            total += loss.item() / len(train)
        if epoch >= swa_start:
            swa_model.update_parameters(model)
            swa_scheduler.step()
        else:
            scheduler.step()
        if epoch in (0, 3, 7):
            print(f"epoch {epoch} loss {total:.4f} acc {accuracy(model, X[1400:], Y[1400:]):.4f}")
    update_bn(train, swa_model)
    print(f"averaged over {int(swa_model.n_averaged)} epochs: {accuracy(swa_model, X[1400:], Y[1400:]):.4f}")


if __name__ == "__main__":
    main()
