"""Test-time augmentation: validation images are jittered on purpose and the predictions of eight views are averaged."""
import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(139)
d = load_digits()
perm = torch.randperm(len(d.target))
images = torch.tensor(d.images / 16 - 0.3, dtype=torch.float32).unsqueeze(1)[perm]
labels = torch.tensor(d.target)[perm]
train = DataLoader(TensorDataset(images[:1400], labels[:1400]), batch_size=70, shuffle=True)
test = DataLoader(TensorDataset(images[1400:], labels[1400:]), batch_size=100)


def jitter(x):
    dy, dx = torch.randint(-1, 2, (2,)).tolist()
    return torch.roll(x, (dy, dx), (2, 3)) + 0.05 * torch.randn_like(x)


model = nn.Sequential(
    nn.Conv2d(1, 10, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(10, 20, 3, padding=1), nn.ReLU(),
    nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.1), nn.Linear(80, 10))
opt = torch.optim.Adam(model.parameters(), lr=1e-2)


def evaluate(views):
    model.eval()
    hits = 0
    with torch.no_grad():
        for x, y in test:
            p = torch.stack([model(jitter(x)).softmax(1) for _ in range(views)]).mean(0)
            hits += (p.argmax(1) == y).sum().item()
    return hits / len(test.dataset)


for epoch in range(4):
    model.train()
    total = 0.0
    for x, y in train:
        loss = nn.functional.cross_entropy(model(jitter(x)), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item() / len(train)
    print(f"epoch {epoch} loss {total:.4f} one view {evaluate(1):.4f} eight views {evaluate(8):.4f}")
