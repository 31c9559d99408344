"""Multi-horizon demand forecast with ragged targets, trained under automatic mixed precision."""
import torch
from torch import nn
from torch.amp import GradScaler, autocast

torch.manual_seed(0)
LAGS, HORIZON, ITEMS = 16, 8, 1100


class Forecaster(nn.Module):
    def __init__(self, hidden=48):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(LAGS, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU())
        self.head = nn.Linear(hidden, HORIZON)

    def forward(self, history):
        return self.head(self.body(history))


def simulate(n):
    t = torch.arange(LAGS + HORIZON)
    phase, level = 6.28 * torch.rand(n, 1), torch.randn(n, 1)
    demand = 0.5 * level + torch.sin(t / 3 + phase) + 0.1 * torch.randn(n, LAGS + HORIZON)
    known = torch.randint(0, HORIZON + 1, (n, 1))  # new items have fewer (or no) observed future values
    mask = (torch.arange(HORIZON) < known).float()
    return demand[:, :LAGS], demand[:, LAGS:], mask


class RootMeanSquare(nn.Module):
    """per-item rmse over the observed part of the horizon"""

    def forward(self, pred, target, mask):
        err = ((pred - target) * mask).pow(2).sum(1) / mask.sum(1).clamp(min=1)
        return torch.sqrt(err).mean()  # ALSO: skipped-steps


class AmpTrainer:
    def __init__(self, model, lr=2e-3, batch=50):
        self.model, self.batch = model, batch
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
        self.scaler = GradScaler("cpu", init_scale=2.0 ** 12)
        self.criterion = RootMeanSquare()

    def epoch(self, x, y, m):
        self.model.train()
        total = 0.0
        for idx in torch.randperm(len(x)).split(self.batch):
            self.optimizer.zero_grad()
            with autocast("cpu", dtype=torch.bfloat16):
                out = self.model(x[idx])
            loss = self.criterion(out.float(), y[idx], m[idx])
            self.scaler.scale(loss).backward()
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.scaler.step(self.optimizer)  # BUG: skipped-steps
            self.scaler.update()
            total += loss.item() * len(idx)
        return total / len(x)

    @torch.no_grad()
    def validate(self, x, y, m):
        self.model.eval()
        return self.criterion(self.model(x), y, m).item()


train, val = simulate(ITEMS - 100), simulate(300)
trainer = AmpTrainer(Forecaster())
for epoch in range(5):
    print(f"epoch {epoch}: train {trainer.epoch(*train):.4f} val {trainer.validate(*val):.4f}")
