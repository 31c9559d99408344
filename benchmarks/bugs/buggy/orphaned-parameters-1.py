"""Transfer learning: a backbone pretrained on the digits 0-4 gets a new head for the digits 5-9."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset


class SmallResNet(nn.Module):
    def __init__(self, num_classes, width=12):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.fc = nn.Linear(width * 4, num_classes)

    def forward(self, x):
        x = F.relu(self.stem(x))
        x = x + self.conv2(F.relu(self.conv1(x)))
        return self.fc(F.adaptive_avg_pool2d(F.relu(x), 2).flatten(1))


def get_split(keep, offset):
    d = load_digits()
    mask = [t in keep for t in d.target]
    x = torch.tensor(d.images[mask]).float().unsqueeze(1) / 16
    y = torch.tensor(d.target[mask]) - offset
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(offset))
    n_val = 180
    train = TensorDataset(x[order[n_val:]], y[order[n_val:]])
    val = TensorDataset(x[order[:n_val]], y[order[:n_val]])
    return DataLoader(train, batch_size=36, shuffle=True), DataLoader(val, batch_size=180)


def run_epochs(model, optimizer, train_loader, val_loader, epochs, tag):
    criterion = nn.CrossEntropyLoss()
    for epoch in range(epochs):
        model.train()
        for x, y in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()  # ALSO: orphaned-parameters
        model.eval()
        with torch.no_grad():
            acc = sum((model(x).argmax(1) == y).float().mean().item() for x, y in val_loader) / len(val_loader)
        print(f"{tag} epoch {epoch}: loss {loss.item():.3f} val acc {acc:.3f}")


def main():
    torch.manual_seed(0)
    model = SmallResNet(num_classes=5)
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)  # ALSO: orphaned-parameters
    run_epochs(model, optimizer, *get_split(range(0, 5), 0), epochs=2, tag="source")

    model.fc = nn.Linear(model.fc.in_features, 5)  # BUG: orphaned-parameters
    for group in optimizer.param_groups:
        group["lr"] = 1e-3
    run_epochs(model, optimizer, *get_split(range(5, 10), 5), epochs=4, tag="target")


if __name__ == "__main__":
    main()
