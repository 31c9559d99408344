"""Image classification from 8-bit grey-scale pictures with a convolutional network (argparse CLI)."""
import argparse

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset


class GreyImages(Dataset):
    """uint8 images of three kinds of gradient"""

    def __init__(self, n, seed, size=12):
        rng = np.random.default_rng(seed)
        self.labels = rng.integers(0, 3, n)
        ramp = np.linspace(0, 1, size)
        kinds = np.stack([np.tile(ramp, (size, 1)), np.tile(ramp[:, None], (1, size)),
                          1 - np.hypot(*np.meshgrid(ramp - 0.5, ramp - 0.5)) * 1.4])
        base = kinds[self.labels]
        contrast = rng.uniform(80, 140, (n, 1, 1))
        offset = rng.uniform(30, 90, (n, 1, 1))
        self.images = np.clip(offset + contrast * base + rng.normal(0, 25, base.shape), 0, 255).astype(np.uint8)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        image = torch.from_numpy(self.images[i]).unsqueeze(0).float()  # ALSO: unscaled-inputs
        return image, int(self.labels[i])


class GradientCNN(nn.Module):
    def __init__(self, c=12):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, c, 3, padding=1), nn.Conv2d(c, c, 3, padding=1)
        self.fc = nn.Linear(c * 9, 3)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc(x.flatten(1))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--epochs", type=int, default=4)
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--batch-size", type=int, default=32)
    args = p.parse_args()
    torch.manual_seed(0)
    train_loader = DataLoader(GreyImages(960, 0), batch_size=args.batch_size, shuffle=True)
    val_loader = DataLoader(GreyImages(240, 1), batch_size=120)
    model = GradientCNN()
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9)
    for epoch in range(args.epochs):
        model.train()
        for image, label in train_loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(image), label)  # BUG: unscaled-inputs
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            acc = sum((model(x).argmax(1) == y).sum().item() for x, y in val_loader) / 240
        print(f"epoch {epoch}: loss {loss.item():.4f} val acc {acc:.3f}")


if __name__ == "__main__":
    main()
