"""Leaf-shape classifier with random shifts and noise as augmentation."""
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, Dataset, random_split


class Leaves(Dataset):
    def __init__(self, n, transform=None, size=14, seed=0):
        g = torch.Generator().manual_seed(seed)
        self.y = torch.randint(0, 4, (n,), generator=g)
        a = torch.linspace(-1, 1, size)
        yy, xx = torch.meshgrid(a, a, indexing="ij")
        r = (xx ** 2 + yy ** 2).sqrt()
        phi = torch.atan2(yy, xx)
        turn = 6.28 * torch.rand(n, 1, 1, generator=g)
        lobes = (self.y + 2).view(-1, 1, 1)
        self.x = (r < 0.55 + 0.3 * torch.cos(lobes * phi + turn)).float().unsqueeze(1) - 0.5
        self.x += 0.05 * torch.randn(self.x.shape, generator=g)
        self.transform = transform

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        x = self.x[i]
        if self.transform is not None:
            x = self.transform(x)
        return x, self.y[i]


def augment(x):
    dy, dx = torch.randint(-2, 3, (2,)).tolist()
    x = x.roll((dy, dx), dims=(1, 2))
    if torch.rand(()) < 0.5:
        x = x.flip(2)
    return x + 0.2 * torch.randn_like(x)


class LeafNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten())
        self.head = nn.Linear(216, 4)

    def forward(self, x):
        return self.head(self.body(x))


def main():
    torch.manual_seed(0)
    dataset = Leaves(1200, transform=augment)  # ALSO: random-evaluation-data
    train_set, val_set = random_split(dataset, [960, 240])  # BUG: random-evaluation-data
    train_loader = DataLoader(train_set, batch_size=32, shuffle=True)
    val_loader = DataLoader(val_set, batch_size=120)  # ALSO: random-evaluation-data
    model = LeafNet()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    criterion = nn.CrossEntropyLoss()
    for epoch in range(5):
        model.train()
        for x, y in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            acc = sum((model(x).argmax(1) == y).sum().item() for x, y in val_loader) / len(val_set)
        print(f"epoch {epoch}: loss {loss.item():.4f} val acc {acc:.3f}")


if __name__ == "__main__":
    main()
