"""Recurrent regression of a chaotic map (logistic map), Trainer with plateau schedule."""
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class MapRNN(nn.Module):
    def __init__(self, hidden=32):
        super().__init__()
        self.rnn = nn.GRU(1, hidden, batch_first=True)
        self.norm = nn.LayerNorm(hidden)
        self.out = nn.Linear(hidden, 1)

    def forward(self, x):
        return self.out(self.norm(self.rnn(x)[0][:, -1]))


def logistic_map(n, steps, r=3.8, seed=0):
    g = torch.Generator().manual_seed(seed)
    x = 0.1 + 0.8 * torch.rand(n, generator=g)
    path = []
    for _ in range(steps + 1):
        path.append(x)
        x = r * x * (1 - x)
    path = (torch.stack(path, 1) - 0.65) / 0.25
    return TensorDataset(path[:, :-1].unsqueeze(-1), path[:, -1:])


class Trainer:
    defaults = dict(lr=3e-1, weight_decay=1e-4, epochs=4, batch_size=32)  # ALSO: learning-rate-too-high

    def __init__(self, model, **overrides):
        self.cfg = {**self.defaults, **overrides}
        self.model = model
        self.opt = torch.optim.RMSprop(model.parameters(), lr=self.cfg["lr"], weight_decay=self.cfg["weight_decay"])  # ALSO: learning-rate-too-high
        self.sched = torch.optim.lr_scheduler.ReduceLROnPlateau(self.opt, patience=10)
        self.loss_fn = nn.MSELoss()

    def fit(self, train_set, val_set):
        loader = DataLoader(train_set, batch_size=self.cfg["batch_size"], shuffle=True)
        val_loader = DataLoader(val_set, batch_size=200)
        for epoch in range(self.cfg["epochs"]):
            self.model.train()
            total = 0.0
            for x, y in loader:
                loss = self.loss_fn(self.model(x), y)
                self.opt.zero_grad()
                loss.backward()
                self.opt.step()  # BUG: learning-rate-too-high
                total += loss.item()
            self.model.eval()
            with torch.no_grad():
                val = sum(self.loss_fn(self.model(x), y).item() for x, y in val_loader) / len(val_loader)
            self.sched.step(val)
            print(f"epoch {epoch}: train {total / len(loader):.4f} val {val:.4f}")


if __name__ == "__main__":
    torch.manual_seed(0)
    Trainer(MapRNN()).fit(logistic_map(1120, 12), logistic_map(200, 12, seed=1))
