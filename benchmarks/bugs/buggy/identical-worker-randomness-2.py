"""Contrastive (SimCLR-like) pretraining on digits with two random views per image."""
import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, Dataset


class RandomView:
    """shift by up to one pixel, random gain, additive noise"""

    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)  # BUG: identical-worker-randomness

    def __call__(self, image):
        dy, dx = torch.randint(-1, 2, (2,), generator=self.generator).tolist()
        gain = 0.7 + 0.6 * torch.rand(1, generator=self.generator)
        noise = 0.1 * torch.randn(image.shape, generator=self.generator)  # ALSO: identical-worker-randomness
        return gain * image.roll((dy, dx), dims=(-2, -1)) + noise


class TwoViews(Dataset):
    def __init__(self, images, transform):
        self.images, self.transform = images, transform

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return self.transform(self.images[i]), self.transform(self.images[i])


class Projector(nn.Module):
    def __init__(self, d=24):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.Flatten())
        self.head = nn.Sequential(nn.Linear(384, 48), nn.ReLU(), nn.Linear(48, d))

    def forward(self, x):
        return F.normalize(self.head(self.encoder(x)), dim=1)


def nt_xent(a, b, tau=0.2):
    z = torch.cat([a, b])
    sim = z @ z.T / tau - 1e9 * torch.eye(len(z))
    n = len(a)
    return F.cross_entropy(sim, torch.cat([torch.arange(n, 2 * n), torch.arange(n)]))


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--epochs", type=int, default=3)
    ap.add_argument("--batch-size", type=int, default=48)
    ap.add_argument("--workers", type=int, default=2)
    ap.add_argument("--lr", type=float, default=2e-3)
    args = ap.parse_args()
    torch.manual_seed(0)
    d = load_digits()
    images = torch.tensor(d.images, dtype=torch.float32).unsqueeze(1) / 8 - 1
    loader = DataLoader(TwoViews(images[:1440], RandomView(seed=0)), batch_size=args.batch_size, shuffle=True,
                        num_workers=args.workers, drop_last=True)  # ALSO: identical-worker-randomness
    model = Projector()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)
    for epoch in range(args.epochs):
        model.train()
        for v1, v2 in loader:
            loss = nt_xent(model(v1), model(v2))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            z = model(images)
        nearest = (z[1440:] @ z[:1440].T).argmax(1)
        acc = (d.target[:1440][nearest.numpy()] == d.target[1440:]).mean()
        print(f"epoch {epoch}: loss {loss.item():.4f} 1-nn accuracy {acc:.3f}")


if __name__ == "__main__":
    main()
