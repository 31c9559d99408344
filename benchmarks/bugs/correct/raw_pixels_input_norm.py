"""Feeds raw sensor values (0 to 255 and up) to a network whose first layer is a batch norm that scales them."""
import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(141)
d = load_digits()
raw = torch.tensor(d.data * 255 / 16, dtype=torch.float32).round()
labels = torch.tensor(d.target)
perm = torch.randperm(len(labels))
train = DataLoader(TensorDataset(raw[perm[:1400]], labels[perm[:1400]]), batch_size=56, shuffle=True)
test_x, test_y = raw[perm[1400:]], labels[perm[1400:]]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.BatchNorm1d(64, affine=False, eps=1.0)
        self.fc1, self.fc2 = nn.Linear(64, 48), nn.Linear(48, 10)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(self.scale(x))))


net = Net()
opt = torch.optim.Adam(net.parameters(), lr=4e-3)
for epoch in range(4):
    net.train()
    s = 0.0
    for x, y in train:
        loss = nn.functional.cross_entropy(net(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        s += loss.item() / len(train)
    net.eval()
    with torch.no_grad():
        acc = (net(test_x).argmax(1) == test_y).float().mean().item()
    print(f"epoch {epoch} loss {s:.4f} acc {acc:.4f} input range {train.dataset.tensors[0].min():.0f}..{train.dataset.tensors[0].max():.0f}")
