"""Clips encoder, decoder and value of each part separately, after tensor hooks that centre the gradients."""
import torch
import torch.nn as nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

torch.manual_seed(36)


class Seq2One(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.LSTM(2, 24, batch_first=True)
        self.decoder = nn.Sequential(nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 1))

    def forward(self, x):
        _, (h, _) = self.encoder(x)
        return self.decoder(h[-1]).squeeze(-1)


def adding_problem(n, length=10):
    """Sum of the two marked numbers."""
    values = torch.rand(n, length)
    marks = torch.zeros(n, length)
    first = torch.randint(0, length // 2, (n, 1))
    second = torch.randint(length // 2, length, (n, 1))
    marks.scatter_(1, first, 1.0).scatter_(1, second, 1.0)
    return torch.stack([values, marks], -1), (values * marks).sum(1)


model = Seq2One()
for p in model.parameters():
    if p.ndim == 2:
        p.register_hook(lambda g: g - g.mean(dim=1, keepdim=True))

opt = torch.optim.Adam(model.parameters(), lr=1e-2)
valid = adding_problem(200)
losses = []
for step in range(150):
    x, y = adding_problem(64)
    loss = nn.functional.mse_loss(model(x), y)
    opt.zero_grad()
    loss.backward()
    clip_grad_norm_(model.encoder.parameters(), 0.5)
    clip_grad_norm_(model.decoder.parameters(), 1.0)
    clip_grad_value_(model.decoder[-1].parameters(), 0.5)
    opt.step()
    losses.append(loss.item())
with torch.no_grad():
    val = nn.functional.mse_loss(model(valid[0]), valid[1]).item()
print("loss", [round(losses[k], 4) for k in (0, 50, 100, 149)], "valid", round(val, 4))
