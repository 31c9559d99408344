"""Transformer-style warm-up: LambdaLR starts at learning rate 0 and is stepped after every update."""
import torch
import torch.nn as nn
from torch.optim.lr_scheduler import LambdaLR

torch.manual_seed(25)
WARMUP, TOTAL = 10, 120


def lr_lambda(step):
    if step < WARMUP:
        return step / WARMUP
    return max(0.0, (TOTAL - step) / (TOTAL - WARMUP))


class Block(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.attn = nn.MultiheadAttention(d, 2, batch_first=True)
        self.ff = nn.Sequential(nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d))

    def forward(self, x):
        h = self.norm1(x)
        x = x + self.attn(h, h, h, need_weights=False)[0]
        return x + self.ff(self.norm2(x))


class CountOnes(nn.Module):
    """Reads 8 bits and says how many are set."""

    def __init__(self, d=16):
        super().__init__()
        self.tok, self.pos = nn.Embedding(2, d), nn.Parameter(torch.randn(8, d) * 0.02)
        self.block, self.head = Block(d), nn.Linear(d, 9)

    def forward(self, bits):
        return self.head(self.block(self.tok(bits) + self.pos).mean(1))


model = CountOnes()
decay = [p for p in model.parameters() if p.ndim > 1]
rest = [p for p in model.parameters() if p.ndim <= 1]
opt = torch.optim.AdamW([{"params": decay, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}], lr=1e-2)
sched = LambdaLR(opt, lr_lambda)

lrs, losses = [], []
for step in range(TOTAL):
    bits = torch.randint(0, 2, (64, 8))
    loss = nn.functional.cross_entropy(model(bits), bits.sum(1))
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    lrs.append(opt.param_groups[0]["lr"])
    opt.step()
    sched.step()
    losses.append(loss.item())

print("lr", [round(lrs[i], 5) for i in (0, 1, 10, 119)])
print("loss", [round(losses[i], 4) for i in (0, 1, 40, 119)])
