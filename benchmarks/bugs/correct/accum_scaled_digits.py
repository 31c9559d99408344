"""Digits classifier with 4-fold gradient accumulation; the short last window is scaled by its own length."""
import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
X, y = load_digits(return_X_y=True)
Xtr, Xva, ytr, yva = train_test_split(X / 16.0, y, test_size=0.25, random_state=0, stratify=y)
train_ds = TensorDataset(torch.tensor(Xtr, dtype=torch.float32), torch.tensor(ytr))
Xva = torch.tensor(Xva, dtype=torch.float32)
yva = torch.tensor(yva)

loader = DataLoader(train_ds, batch_size=32, shuffle=True, drop_last=True)
accum = 4

model = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Dropout(0.1), nn.Linear(48, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
criterion = nn.CrossEntropyLoss()

n_micro = len(loader)
history = []
for epoch in range(4):
    model.train()
    total = 0.0
    optimizer.zero_grad()
    for i, (xb, yb) in enumerate(loader):
        window_start = (i // accum) * accum
        window = min(accum, n_micro - window_start)
        loss = criterion(model(xb), yb)
        (loss / window).backward()
        total += loss.item()
        if (i + 1) % accum == 0 or i + 1 == n_micro:
            optimizer.step()
            optimizer.zero_grad()
    model.eval()
    with torch.no_grad():
        acc = (model(Xva).argmax(1) == yva).float().mean().item()
    history.append((total / n_micro, acc))

for epoch, (loss, acc) in enumerate(history):
    print(f"epoch {epoch}  loss {loss:.4f}  val_acc {acc:.4f}")
