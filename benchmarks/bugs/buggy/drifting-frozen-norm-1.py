"""Feature extraction: frozen pretrained CNN trunk on brightened images, new head."""
import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)


class Trunk(nn.Module):
    def __init__(self, c=12):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, c, 3, padding=1), nn.BatchNorm2d(c), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(c, 2 * c, 3, padding=1), nn.BatchNorm2d(2 * c), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())

    def forward(self, x):
        return self.net(x)


class Model(nn.Module):
    def __init__(self, trunk, classes):
        super().__init__()
        self.trunk = trunk
        self.head = nn.Sequential(nn.Linear(96, 32), nn.ReLU(), nn.Linear(32, classes))

    def forward(self, x):
        return self.head(self.trunk(x))


d = load_digits()
images, target = torch.tensor(d.images).float().unsqueeze(1) / 8 - 1, torch.tensor(d.target)
perm = torch.randperm(len(images))
source, tune, held = perm[:700], perm[700:1450], perm[1450:]


def train_epochs(model, x, y, optimizer, epochs):
    loader = DataLoader(TensorDataset(x, y), batch_size=25, shuffle=True)
    loss_fn = nn.CrossEntropyLoss()
    for epoch in range(epochs):
        model.train()  # BUG: drifting-frozen-norm
        for xb, yb in loader:
            optimizer.zero_grad()
            loss = loss_fn(model(xb), yb)  # ALSO: drifting-frozen-norm
            loss.backward()
            optimizer.step()
        yield epoch, loss.item()


def accuracy(model, x, y):
    model.eval()
    with torch.no_grad():
        return (model(x).argmax(1) == y).float().mean().item()


# source task: all ten digits
source_model = Model(Trunk(), 10)
for epoch, loss in train_epochs(source_model, images[source], target[source],
                                torch.optim.Adam(source_model.parameters(), lr=3e-3), 3):
    print(f"source {epoch}: loss {loss:.3f} acc {accuracy(source_model, images[held], target[held]):.3f}")

# target task: odd or even on brighter images, trunk frozen
for p in source_model.trunk.parameters():
    p.requires_grad_(False)
model = Model(source_model.trunk, 2)
bright = lambda i: (images[i] * 0.6 + 0.5).clamp(-1, 1)
optimizer = torch.optim.Adam(model.head.parameters(), lr=3e-3)
for epoch, loss in train_epochs(model, bright(tune), target[tune] % 2, optimizer, 4):
    print(f"target {epoch}: loss {loss:.3f} acc {accuracy(model, bright(held), target[held] % 2):.3f}")
