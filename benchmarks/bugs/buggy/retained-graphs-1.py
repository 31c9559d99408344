"""CNN regression of blob positions; the loss of the epoch is summed up for the log."""
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)


def blobs(n, size=14):
    pos = 0.2 + 0.6 * torch.rand(n, 2)
    axis = torch.linspace(0, 1, size)
    gy = torch.exp(-((axis[None] - pos[:, :1]) / 0.12) ** 2)
    gx = torch.exp(-((axis[None] - pos[:, 1:]) / 0.12) ** 2)
    img = gy[:, :, None] * gx[:, None, :] + 0.1 * torch.randn(n, size, size)
    return TensorDataset(img[:, None], 2 * pos - 1)


model = nn.Sequential(
    nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU(),
    nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU(),
    nn.Flatten(), nn.Linear(256, 32), nn.ReLU(), nn.Linear(32, 2),
)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
criterion = nn.MSELoss()
train_loader = DataLoader(blobs(1280), batch_size=32, shuffle=True)
val_loader = DataLoader(blobs(256), batch_size=128)

for epoch in range(4):
    model.train()
    total_loss = 0
    for images, targets in train_loader:
        optimizer.zero_grad()
        outputs = model(images)
        loss = criterion(outputs, targets)
        loss.backward()
        optimizer.step()
        total_loss += loss  # BUG: retained-graphs
    train_loss = total_loss / len(train_loader)

    model.eval()
    val_loss = 0
    with torch.no_grad():
        for images, targets in val_loader:
            val_loss += criterion(model(images), targets).item()
    print(f"Epoch {epoch + 1}: train {train_loss:.4f}, val {val_loss / len(val_loader):.4f}")
