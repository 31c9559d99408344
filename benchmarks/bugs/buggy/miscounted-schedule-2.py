"""Transformer regression on sensor windows: warm-up and linear decay with accumulated gradients."""
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
EPOCHS, BATCH, ACCUM, WARMUP_RATIO = 3, 8, 4, 0.1


def sensor_windows(n, steps=12, channels=3):
    base = torch.randn(n, 1, channels).expand(n, steps, channels)
    drift = torch.randn(n, 1, channels) * torch.linspace(-1, 1, steps).view(1, steps, 1)
    x = base + drift + 0.1 * torch.randn(n, steps, channels)
    y = (drift[:, -1] * torch.tensor([1.0, -0.5, 0.25])).sum(1, keepdim=True)
    return TensorDataset(x, y)


class SensorTransformer(nn.Module):
    def __init__(self, channels=3, steps=12, d=32):
        super().__init__()
        self.inp = nn.Linear(channels, d)
        self.pos = nn.Parameter(torch.randn(steps, d) * 0.1)
        self.enc = nn.TransformerEncoderLayer(d, 4, 2 * d, dropout=0.05, batch_first=True, norm_first=True)
        self.out = nn.Linear(d, 1)

    def forward(self, x):
        return self.out(self.enc(self.inp(x) + self.pos).mean(1))


train_loader = DataLoader(sensor_windows(1280), batch_size=BATCH, shuffle=True, drop_last=True)
val_loader = DataLoader(sensor_windows(256), batch_size=128)
model = SensorTransformer()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)

updates = EPOCHS * len(train_loader) // ACCUM
warmup = int(updates * WARMUP_RATIO)


def schedule(step):
    if step < warmup:
        return (step + 1) / warmup
    return max(0.02, (updates - step) / (updates - warmup))


scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
print("planned updates:", updates, "warm-up:", warmup)

for epoch in range(EPOCHS):
    model.train()
    for i, (x, y) in enumerate(train_loader):
        loss = nn.functional.mse_loss(model(x), y) / ACCUM
        loss.backward()
        if (i + 1) % ACCUM == 0:
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        scheduler.step()  # BUG: miscounted-schedule
    model.eval()
    with torch.no_grad():
        val = sum(nn.functional.mse_loss(model(x), y).item() for x, y in val_loader) / len(val_loader)
    print(f"epoch {epoch}: val mse {val:.4f} lr {scheduler.get_last_lr()[0]:.2e}")
