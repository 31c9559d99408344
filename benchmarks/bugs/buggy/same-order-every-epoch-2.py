"""Reproducible training of a small vision model; every epoch is seeded for determinism."""
import random

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split


def seed_everything(seed=42):
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


class Trainer:
    def __init__(self, epochs=4, batch_size=48, lr=0.05, seed=42):
        seed_everything(seed)
        self.epochs, self.seed = epochs, seed
        d = load_digits()
        data = TensorDataset(torch.tensor(d.images).float().unsqueeze(1) / 16, torch.tensor(d.target))
        train_set, val_set = random_split(data, [1440, 357])
        self.train_loader = DataLoader(train_set, batch_size=batch_size, shuffle=True)
        self.val_loader = DataLoader(val_set, batch_size=357)
        self.model = nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Dropout(0.2), nn.Linear(192, 10))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=lr, momentum=0.9)
        self.criterion = nn.CrossEntropyLoss()

    def train_epoch(self):
        seed_everything(self.seed)  # BUG: same-order-every-epoch
        self.model.train()
        total = 0.0
        for x, y in self.train_loader:  # ALSO: same-order-every-epoch
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(x), y)
            loss.backward()
            self.optimizer.step()
            total += loss.item()
        return total / len(self.train_loader)

    @torch.no_grad()
    def validate(self):
        self.model.eval()
        return sum((self.model(x).argmax(1) == y).float().mean().item() for x, y in self.val_loader) / len(self.val_loader)

    def fit(self):
        for epoch in range(self.epochs):
            print(f"epoch {epoch}: loss {self.train_epoch():.4f} val acc {self.validate():.4f}")


if __name__ == "__main__":
    Trainer().fit()
