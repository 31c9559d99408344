"""Elman network that sums a long stream of signed numbers; custom recurrent cell."""
import torch
from torch import nn

torch.manual_seed(0)
STEPS, HIDDEN = 40, 32


class SumCell(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.inp = nn.Linear(1, hidden)
        self.rec = nn.Linear(hidden, hidden, bias=False)
        nn.init.orthogonal_(self.rec.weight, gain=2.5)  # BUG: exploding-gradients

    def forward(self, x, h):
        return torch.tanh(self.inp(x) + self.rec(h))


class Accumulator(nn.Module):
    def __init__(self, hidden=HIDDEN):
        super().__init__()
        self.hidden = hidden
        self.cell = SumCell(hidden)
        self.readout = nn.Linear(hidden, 1)

    def forward(self, seq):
        h = seq.new_zeros(len(seq), self.hidden)
        for t in range(seq.size(1)):
            h = self.cell(seq[:, t], h)  # ALSO: exploding-gradients
        return self.readout(h)


def sequences(n):
    x = torch.randn(n, STEPS, 1)
    return x, x.sum(1) / STEPS ** 0.5


train_x, train_y = sequences(1600)
val_x, val_y = sequences(200)
model = Accumulator()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
loss_fn = nn.MSELoss()

for epoch in range(3):
    model.train()
    for idx in torch.randperm(1600).split(40):
        optimizer.zero_grad()
        loss = loss_fn(model(train_x[idx]), train_y[idx])
        loss.backward()  # ALSO: exploding-gradients
        optimizer.step()  # ALSO: exploding-gradients
    model.eval()
    with torch.no_grad():
        val = loss_fn(model(val_x), val_y).item()
    print(f"epoch {epoch}: last train loss {loss.item():.4g} val loss {val:.4g}")
