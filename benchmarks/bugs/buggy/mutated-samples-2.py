"""Masked autoencoding of sensor rows: a fraction of the inputs is zeroed and reconstructed."""
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class MaskedRows(Dataset):
    """returns (masked row, mask, original row)"""

    def __init__(self, rows, mask_ratio=0.3):
        self.rows = rows                      # NumPy array, kept in memory
        self.mask_ratio = mask_ratio

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        row = self.rows[i]
        mask = torch.rand(row.shape[0]) < self.mask_ratio
        target = torch.tensor(row)
        row[mask.numpy()] = 0.0  # BUG: mutated-samples
        return torch.from_numpy(row), mask, target


class MAE(nn.Module):
    def __init__(self, d, width=64):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2 * d, width), nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, d))

    def forward(self, row, mask):
        return self.net(torch.cat([row, mask.float()], dim=1))


def correlated_rows(n, rng, d=16, rank=4):
    mix = np.random.default_rng(1).standard_normal((rank, d))
    return (rng.standard_normal((n, rank)) @ mix / rank ** 0.5 + 0.1 * rng.standard_normal((n, d))).astype(np.float32)


def masked_mse(pred, target, mask):
    return ((pred - target) ** 2)[mask].mean()


torch.manual_seed(0)
rng = np.random.default_rng(0)
train_set = MaskedRows(correlated_rows(1280, rng))
val_rows = torch.from_numpy(correlated_rows(256, rng))
val_mask = torch.rand(val_rows.shape, generator=torch.Generator().manual_seed(3)) < 0.3
loader = DataLoader(train_set, batch_size=40, shuffle=True)

model = MAE(16)
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
for epoch in range(5):
    model.train()
    total = 0.0
    for row, mask, target in loader:  # ALSO: mutated-samples
        loss = masked_mse(model(row, mask), target, mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    model.eval()
    with torch.no_grad():
        val = masked_mse(model(val_rows.masked_fill(val_mask, 0.0), val_mask), val_rows, val_mask).item()
    print(f"epoch {epoch}: train {total / len(loader):.4f} val {val:.4f}")
