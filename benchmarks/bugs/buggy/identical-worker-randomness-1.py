"""Regression on noisy sensor images with random flips and jitter from a NumPy generator in the dataset."""
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class AugmentedSensors(Dataset):
    def __init__(self, n, size=10, augment=False, seed=0):
        rng = np.random.default_rng(seed)
        self.angle = rng.uniform(-1, 1, n).astype(np.float32)
        yy, xx = np.mgrid[-1:1:size * 1j, -1:1:size * 1j]
        stripes = np.sin(4 * (xx[None] * np.cos(self.angle)[:, None, None] + yy[None] * np.sin(self.angle)[:, None, None]))
        self.images = (stripes + 0.1 * rng.standard_normal(stripes.shape)).astype(np.float32)
        self.augment = augment
        self.rng = np.random.default_rng(seed + 1)  # BUG: identical-worker-randomness

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        image, angle = self.images[i], self.angle[i]
        if self.augment:
            if self.rng.random() < 0.5:
                image, angle = image[::-1].copy(), -angle
            image = image + self.rng.normal(0, 0.3, image.shape).astype(np.float32)  # ALSO: identical-worker-randomness
        return torch.from_numpy(image)[None], torch.tensor([angle])


class AngleNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(12, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(400, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, x):
        return self.net(x)


def main():
    torch.manual_seed(0)
    train_loader = DataLoader(AugmentedSensors(960, augment=True), batch_size=32, shuffle=True, num_workers=2)  # ALSO: identical-worker-randomness
    val_loader = DataLoader(AugmentedSensors(240, seed=5), batch_size=120)
    model = AngleNet()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loss_fn = nn.MSELoss()
    for epoch in range(4):
        model.train()
        for image, angle in train_loader:
            optimizer.zero_grad()
            loss = loss_fn(model(image), angle)
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            val = sum(loss_fn(model(x), y).item() for x, y in val_loader) / len(val_loader)
        print(f"epoch {epoch}: train {loss.item():.4f} val {val:.4f}")


if __name__ == "__main__":
    main()
