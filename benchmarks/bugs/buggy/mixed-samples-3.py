"""Frame-wise video classifier: a CNN per frame, then a temporal average."""
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
T, S = 6, 8


def clips(n):
    """a dot that moves right, left, up or down; (time, batch) is the layout of the frame reader"""
    y = torch.randint(0, 4, (n,))
    start = torch.randint(0, S, (n, 2))
    direction = torch.tensor([[0, 1], [0, -1], [-1, 0], [1, 0]])[y]
    x = 0.2 * torch.randn(n, T, 1, S, S)
    for t in range(T):
        pos = (start + t * direction) % S
        x[torch.arange(n), t, 0, pos[:, 0], pos[:, 1]] += 2
    return TensorDataset(x, y)


class FrameEncoder(nn.Module):
    def __init__(self, d=32):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, d))

    def forward(self, x):
        return self.net(x)


class VideoNet(nn.Module):
    def __init__(self, d=32):
        super().__init__()
        self.frames = FrameEncoder(d)
        self.temporal = nn.GRU(d, d, batch_first=True)
        self.fc = nn.Linear(d, 4)

    def forward(self, x):
        b, t = x.shape[:2]
        x = x.transpose(0, 1).reshape(t * b, *x.shape[2:])      # time-major, as the encoder was written for
        h = self.frames(x)
        h = h.view(b, t, -1)  # BUG: mixed-samples
        out, _ = self.temporal(h)  # ALSO: mixed-samples
        return self.fc(out[:, -1])


train_loader = DataLoader(clips(960), batch_size=32, shuffle=True)
val_loader = DataLoader(clips(192), batch_size=32)
model = VideoNet()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
criterion = nn.CrossEntropyLoss()

for epoch in range(4):
    model.train()
    for x, y in train_loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        acc = sum((model(x).argmax(1) == y).float().mean().item() for x, y in val_loader) / len(val_loader)
    print(f"epoch {epoch}: loss {loss.item():.4f} val acc {acc:.3f}")
