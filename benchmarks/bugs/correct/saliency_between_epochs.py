"""After each epoch an eval-mode backward makes saliency maps of validation samples; training mode is restored after it."""
import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

# %% Load
torch.manual_seed(176)
d = load_digits()
perm = torch.randperm(len(d.target))
images = torch.tensor(d.images / 16 - 0.3, dtype=torch.float32).unsqueeze(1)[perm]
labels = torch.tensor(d.target)[perm]
train = DataLoader(TensorDataset(images[:1400], labels[:1400]), batch_size=70, shuffle=True)
vx, vy = images[1400:], labels[1400:]

# %% Network
net = nn.Sequential(
    nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Dropout(0.1), nn.Linear(192, 10))
opt = torch.optim.Adam(net.parameters(), lr=3e-3)


# %% Saliency
def saliency(x, y):
    net.eval()
    x = x.clone().requires_grad_()
    net(x).gather(1, y[:, None]).sum().backward()
    net.zero_grad(set_to_none=True)
    net.train()
    return x.grad.abs().squeeze(1)


# %% Train
for epoch in range(3):
    net.train()
    total = 0.0
    for x, y in train:
        opt.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        opt.step()
        total += loss.item() / len(train)
    maps = saliency(vx[:16], vy[:16])
    centre = maps[:, 2:6, 2:6].sum() / maps.sum()
    net.eval()
    with torch.no_grad():
        acc = (net(vx).argmax(1) == vy).float().mean().item()
    print(f"epoch {epoch} loss {total:.4f} acc {acc:.4f} saliency in the centre {centre.item():.3f}")
