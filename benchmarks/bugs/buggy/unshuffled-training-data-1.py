"""Classify simulated star spectra that are generated class by class."""
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, Dataset, Subset


class StarSpectra(Dataset):
    CLASSES = ("O", "B", "A", "F", "G")

    def __init__(self, per_class=300, bins=40, seed=0):
        g = torch.Generator().manual_seed(seed)
        grid = torch.linspace(0, 1, bins)
        spectra, labels = [], []
        for k in range(len(self.CLASSES)):
            peak = 0.15 + 0.17 * k + 0.04 * torch.randn(per_class, 1, generator=g)
            width = 0.2 + 0.05 * torch.rand(per_class, 1, generator=g)
            flux = torch.exp(-((grid - peak) / width) ** 2) + 0.1 * torch.randn(per_class, bins, generator=g)
            spectra.append(flux)
            labels.append(torch.full((per_class,), k))
        self.x = (torch.cat(spectra) - 0.4) / 0.35
        self.y = torch.cat(labels)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


def every_fifth(dataset):
    val = list(range(0, len(dataset), 5))
    train = [i for i in range(len(dataset)) if i % 5]
    return Subset(dataset, train), Subset(dataset, val)


def main():
    torch.manual_seed(0)
    train_set, val_set = every_fifth(StarSpectra())
    train_loader = DataLoader(train_set, batch_size=32)  # BUG: unshuffled-training-data
    val_loader = DataLoader(val_set, batch_size=150)
    model = nn.Sequential(nn.Linear(40, 48), nn.ReLU(), nn.Linear(48, 5))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for epoch in range(4):
        model.train()
        running = 0.0
        for x, y in train_loader:  # ALSO: unshuffled-training-data
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            running += loss.item()
        model.eval()
        with torch.no_grad():
            acc = sum((model(x).argmax(1) == y).sum().item() for x, y in val_loader) / len(val_set)
        print(f"epoch {epoch}: loss {running / len(train_loader):.4f} val acc {acc:.3f}")


if __name__ == "__main__":
    main()
