"""Convolutional network with batch norm and label smoothing; SGD without decay on the norm layers."""
import argparse

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def conv_bn(c_in, c_out, stride=1):
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU(inplace=True))


class PlainNet(nn.Module):
    def __init__(self, width=12, classes=10):
        super().__init__()
        self.features = nn.Sequential(conv_bn(1, width), conv_bn(width, 2 * width, 2), conv_bn(2 * width, 2 * width, 2))
        self.classifier = nn.Linear(2 * width * 4, classes)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


def param_groups(model, weight_decay):
    decay, skip = [], []
    for name, p in model.named_parameters():
        if "bn" in name or name.endswith(".bias"):
            skip.append(p)
        else:
            decay.append(p)
    return [{"params": decay, "weight_decay": weight_decay}, {"params": skip, "weight_decay": 0.0}]


def main(cfg):
    torch.manual_seed(cfg.seed)
    d = load_digits()
    x = torch.tensor(d.images, dtype=torch.float32).unsqueeze(1) / 8 - 1
    y = torch.tensor(d.target)
    x_tr, x_va, y_tr, y_va = train_test_split(x, y, test_size=0.2, random_state=cfg.seed, stratify=y)
    loader = DataLoader(TensorDataset(x_tr, y_tr), cfg.batch_size, shuffle=True, drop_last=True)
    model = PlainNet()
    optimizer = torch.optim.SGD(param_groups(model, cfg.wd), lr=cfg.lr, momentum=0.9, nesterov=True)  # BUG: decayed-norms
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    for epoch in range(cfg.epochs):
        model.train()
        for xb, yb in loader:
            optimizer.zero_grad()
            loss = criterion(model(xb), yb)
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            acc = (model(x_va).argmax(1) == y_va).float().mean().item()
        print(f"epoch {epoch}: loss {loss.item():.4f} val acc {acc:.4f}")


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--lr", type=float, default=0.05)
    p.add_argument("--wd", type=float, default=5e-3)
    p.add_argument("--batch_size", type=int, default=64)
    p.add_argument("--epochs", type=int, default=4)
    p.add_argument("--seed", type=int, default=0)
    main(p.parse_args())
