"""Photometric classifier with a brightness augmentation in the dataset."""
import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, Dataset


class JitteredDigits(Dataset):
    def __init__(self, images, labels, jitter=0.0):
        self.images, self.labels, self.jitter = images, labels, jitter

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, idx):
        image = self.images[idx]
        if self.jitter:
            image += self.jitter * torch.randn(1)  # BUG: mutated-samples
        return image, self.labels[idx]


def build_model():
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(96, 10))


def train(model, loader, criterion, optimizer):
    model.train()
    running = 0.0
    for images, labels in loader:  # ALSO: mutated-samples
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()
        running += loss.item()
    return running / len(loader)


def validate(model, loader):
    model.eval()
    with torch.no_grad():
        return sum((model(x).argmax(1) == y).sum().item() for x, y in loader) / len(loader.dataset)


def main():
    torch.manual_seed(0)
    d = load_digits()
    images = torch.tensor(d.images, dtype=torch.float32).unsqueeze(1) / 8 - 1
    labels = torch.tensor(d.target)
    perm = torch.randperm(len(images))
    train_set = JitteredDigits(images[perm[:1440]], labels[perm[:1440]], jitter=0.4)
    val_set = JitteredDigits(images[perm[1440:]], labels[perm[1440:]])
    train_loader = DataLoader(train_set, batch_size=48, shuffle=True)
    val_loader = DataLoader(val_set, batch_size=120)
    model = build_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for epoch in range(5):
        loss = train(model, train_loader, nn.CrossEntropyLoss(), optimizer)
        print(f"epoch {epoch}: loss {loss:.4f} val acc {validate(model, val_loader):.3f}")


if __name__ == "__main__":
    main()
