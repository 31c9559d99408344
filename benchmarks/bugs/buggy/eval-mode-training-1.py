"""Spoken-digit style classifier: CNN with dropout and batch norm, validated every epoch."""
import torch
import torch.nn as nn
import torch.optim as optim
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)


def spectrograms(n, classes=4, freq=12, time=16):
    y = torch.randint(0, classes, (n,))
    x = 0.5 * torch.randn(n, 1, freq, time)
    for i in range(n):
        onset = int(torch.randint(0, 6, (1,)))
        for t in range(8):
            row = [t, 8 - t, 3 + (t % 3), 9 - (t % 4)][int(y[i])]
            x[i, 0, row, onset + t] += 1.5
    return TensorDataset(x, y)


class AudioCNN(nn.Module):
    def __init__(self, classes=4):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(12, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.AdaptiveMaxPool2d(2))
        self.classifier = nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(96, classes))

    def forward(self, x):
        return self.classifier(self.features(x))


def validate(model, loader, criterion):
    model.eval()  # BUG: eval-mode-training
    loss, correct = 0.0, 0
    with torch.no_grad():
        for x, y in loader:
            out = model(x)
            loss += criterion(out, y).item() * len(y)
            correct += (out.argmax(1) == y).sum().item()
    return loss / len(loader.dataset), correct / len(loader.dataset)


def train(model, train_loader, val_loader, epochs):
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    model.train()
    for epoch in range(epochs):
        running = 0.0
        for x, y in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)  # ALSO: eval-mode-training
            loss.backward()
            optimizer.step()
            running += loss.item()
        val_loss, val_acc = validate(model, val_loader, criterion)
        print(f"epoch {epoch}: train {running / len(train_loader):.4f} val {val_loss:.4f} acc {val_acc:.3f}")


if __name__ == "__main__":
    train(
        AudioCNN(),
        DataLoader(spectrograms(960), batch_size=32, shuffle=True),
        DataLoader(spectrograms(240), batch_size=120),
        epochs=5,
    )
