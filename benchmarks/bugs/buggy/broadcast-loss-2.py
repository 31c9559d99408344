"""Heteroscedastic regression: a network predicts mean and log-variance, loss written out by hand."""
import torch
from torch import nn


class MeanVarianceNet(nn.Module):
    def __init__(self, width=40):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh())
        self.mean_head, self.logvar_head = nn.Linear(width, 1), nn.Linear(width, 1)

    def forward(self, x):
        h = self.trunk(x)
        return self.mean_head(h), self.logvar_head(h)


def gaussian_nll(mean, logvar, y):
    return 0.5 * (logvar + (y - mean) ** 2 / logvar.exp()).mean()  # BUG: broadcast-loss


class NoisyCurve:
    def __init__(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        self.x = 4 * torch.rand(n, 1, generator=g) - 2
        noise = 0.05 + 0.2 * (self.x[:, 0] > 0)
        self.y = torch.sin(2 * self.x[:, 0]) + noise * torch.randn(n, generator=g)

    def batches(self, size):
        for idx in torch.randperm(len(self.x)).split(size):
            yield self.x[idx], self.y[idx]


class Trainer:
    def __init__(self, model, lr=3e-3):
        self.model, self.opt = model, torch.optim.Adam(model.parameters(), lr=lr)

    def epoch(self, data, batch_size=40):
        self.model.train()
        losses = []
        for x, y in data.batches(batch_size):
            mean, logvar = self.model(x)
            loss = gaussian_nll(mean, logvar, y)  # ALSO: broadcast-loss
            self.opt.zero_grad()
            loss.backward()
            self.opt.step()
            losses.append(loss.item())
        return sum(losses) / len(losses)

    @torch.no_grad()
    def rmse(self, data):
        self.model.eval()
        mean, _ = self.model(data.x)
        return (mean.squeeze(1) - data.y).pow(2).mean().sqrt().item()


torch.manual_seed(0)
train, val = NoisyCurve(1200, 0), NoisyCurve(300, 1)
trainer = Trainer(MeanVarianceNet())
for epoch in range(5):
    print(f"epoch {epoch}: nll {trainer.epoch(train):.4f} val rmse {trainer.rmse(val):.4f}")
