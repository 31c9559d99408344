"""Train a 1-D convolutional network on synthetic ECG-like beats; the learning rate follows the batch size."""
import argparse
import math

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset


def get_args():
    p = argparse.ArgumentParser("beats")
    p.add_argument("--batch-size", type=int, default=32)
    p.add_argument("--base-lr", type=float, default=1e-2, help="for a batch of 256")
    p.add_argument("--epochs", type=int, default=4)
    p.add_argument("--weight-decay", type=float, default=1e-4)
    p.add_argument("--seed", type=int, default=0)
    return p.parse_args()


def synth(n, g):
    t = torch.linspace(0, 1, 64)
    label = torch.randint(0, 3, (n,), generator=g)
    width = torch.tensor([0.02, 0.05, 0.09])[label].unsqueeze(1)
    centre = 0.4 + 0.2 * torch.rand(n, 1, generator=g)
    beat = torch.exp(-((t - centre) / width) ** 2) - 0.3 * torch.exp(-((t - centre - 0.15) / 0.05) ** 2)
    return TensorDataset((beat + 0.05 * torch.randn(n, 64, generator=g)).unsqueeze(1), label)


class BeatNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv1d(1, 12, 7, padding=3), nn.BatchNorm1d(12), nn.ReLU(), nn.MaxPool1d(2),
            nn.Conv1d(12, 24, 5, padding=2), nn.BatchNorm1d(24), nn.ReLU(), nn.AdaptiveAvgPool1d(4))
        self.classifier = nn.Linear(96, 3)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


def main():
    args = get_args()
    torch.manual_seed(args.seed)
    g = torch.Generator().manual_seed(args.seed)
    train_loader = DataLoader(synth(960, g), batch_size=args.batch_size, shuffle=True)
    val_loader = DataLoader(synth(240, g), batch_size=120)
    model = BeatNet()
    lr = args.base_lr * (args.batch_size // 256)  # ALSO: zero-learning-rate
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=args.weight_decay)  # ALSO: zero-learning-rate
    criterion = nn.CrossEntropyLoss()
    for epoch in range(args.epochs):
        model.train()
        losses = []
        for x, y in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()  # BUG: zero-learning-rate
            losses.append(loss.item())
        model.eval()
        with torch.no_grad():
            acc = sum((model(x).argmax(1) == y).sum().item() for x, y in val_loader) / 240
        assert math.isfinite(losses[-1])
        print(f"epoch {epoch + 1}: train loss {sum(losses) / len(losses):.4f} val acc {acc:.3f}")


if __name__ == "__main__":
    main()
