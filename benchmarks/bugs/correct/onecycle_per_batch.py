"""Small CNN on digits with OneCycleLR stepped once per batch and AdamW's momentum cycled."""
import argparse

import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset, random_split


def build():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))


def evaluate(model, loader):
    model.eval()
    good = n = 0
    with torch.inference_mode():
        for xb, yb in loader:
            good += (model(xb).argmax(1) == yb).sum().item()
            n += len(yb)
    model.train()
    return good / n


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--max-lr", type=float, default=2e-2)
    args = parser.parse_args()
    torch.manual_seed(26)
    d = load_digits()
    ds = TensorDataset(torch.tensor(d.images / 16 - 0.3, dtype=torch.float32).unsqueeze(1), torch.tensor(d.target))
    tr, va = random_split(ds, [1500, 297])
    train, valid = DataLoader(tr, 50, shuffle=True), DataLoader(va, 150)
    model = build()
    opt = torch.optim.AdamW(model.parameters(), lr=args.max_lr / 25)
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, args.max_lr, epochs=args.epochs, steps_per_epoch=len(train))
    for epoch in range(args.epochs):
        s = 0.0
        for xb, yb in train:
            opt.zero_grad()
            loss = nn.functional.cross_entropy(model(xb), yb)
            loss.backward()
            opt.step()
            sched.step()
            s += loss.item()
        print(f"{epoch} loss {s / len(train):.4f} acc {evaluate(model, valid):.4f} lr {sched.get_last_lr()[0]:.2e}")


if __name__ == "__main__":
    main()
