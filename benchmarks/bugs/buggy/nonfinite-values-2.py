"""Siamese network with contrastive loss on digit pairs."""
import argparse

import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, Dataset


class PairDataset(Dataset):
    """pairs (i, j) with the information whether both show the same digit"""

    def __init__(self, images, labels, n_pairs, seed):
        g = torch.Generator().manual_seed(seed)
        self.images, self.labels = images, labels
        first = torch.randint(0, len(images), (n_pairs,), generator=g)
        second = torch.randint(0, len(images), (n_pairs,), generator=g)
        for k in range(0, n_pairs, 2):
            same = torch.nonzero(labels == labels[first[k]]).squeeze(1)
            second[k] = same[torch.randint(0, len(same), (1,), generator=g)]
        self.pairs = torch.stack([first, second], dim=1)

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, k):
        i, j = self.pairs[k]
        return self.images[i], self.images[j], (self.labels[i] == self.labels[j]).float()


class SiameseNetwork(nn.Module):
    def __init__(self, emb=8):
        super().__init__()
        self.cnn = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, emb))

    def forward(self, a, b):
        za, zb = self.cnn(a), self.cnn(b)
        return torch.sqrt(((za - zb) ** 2).sum(dim=1))  # BUG: nonfinite-values


def contrastive_loss(distance, same, margin=1.0):
    return (same * distance ** 2 + (1 - same) * torch.clamp(margin - distance, min=0) ** 2).mean()


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--epochs", type=int, default=3)
    ap.add_argument("--lr", type=float, default=1e-3)
    ap.add_argument("--batch", type=int, default=40)
    a = ap.parse_args()
    torch.manual_seed(0)
    d = load_digits()
    images, labels = torch.tensor(d.images).float().unsqueeze(1) / 16, torch.tensor(d.target)
    perm = torch.randperm(len(images))
    tr, va = perm[:1400], perm[1400:]
    train = DataLoader(PairDataset(images[tr], labels[tr], 1600, 0), a.batch, shuffle=True)
    val = DataLoader(PairDataset(images[va], labels[va], 400, 1), 200)
    net = SiameseNetwork()
    optimizer = torch.optim.Adam(net.parameters(), lr=a.lr)
    for epoch in range(a.epochs):
        net.train()
        for x1, x2, same in train:
            loss = contrastive_loss(net(x1, x2), same)
            optimizer.zero_grad()
            loss.backward()  # ALSO: nonfinite-values
            optimizer.step()  # ALSO: nonfinite-values
        net.eval()
        with torch.no_grad():
            right = sum(((net(x1, x2) < 0.5).float() == same).sum().item() for x1, x2, same in val)
        print(f"epoch {epoch}: loss {loss.item():.4f} pair accuracy {right / 400:.3f}")


if __name__ == "__main__":
    main()
