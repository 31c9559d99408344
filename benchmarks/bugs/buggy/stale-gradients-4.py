"""Neural style of matrix completion: predict missing entries of a temperature grid with coordinates."""
import torch
import torch.nn as nn

torch.manual_seed(0)


class FourierFeatures(nn.Module):
    def __init__(self, n=24, scale=2.0):
        super().__init__()
        self.register_buffer("freq", torch.randn(2, n) * scale)

    def forward(self, xy):
        p = 2 * torch.pi * xy @ self.freq
        return torch.cat([p.sin(), p.cos()], dim=1)


class Field(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(FourierFeatures(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 1))

    def forward(self, xy):
        return self.net(xy).squeeze(1)


class Grid:
    def __init__(self, size=40):
        axis = torch.linspace(0, 1, size)
        xy = torch.cartesian_prod(axis, axis)
        t = torch.sin(5 * xy[:, 0]) * torch.cos(4 * xy[:, 1]) + 0.3 * xy[:, 0]
        seen = torch.rand(len(xy)) < 0.7
        self.train = xy[seen], t[seen]
        self.missing = xy[~seen], t[~seen]


class Fitter:
    def __init__(self, grid, lr=1e-3):
        self.grid, self.model = grid, Field()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=lr)
        self.loss = nn.MSELoss()

    def epoch(self, batch_size=64):
        self.model.train()
        xy, t = self.grid.train
        for idx in torch.randperm(len(xy)).split(batch_size):
            self.optimizer.zero_grad  # ALSO: stale-gradients
            loss = self.loss(self.model(xy[idx]), t[idx])
            loss.backward()  # ALSO: stale-gradients
            self.optimizer.step()  # BUG: stale-gradients
        return loss.item()

    def test(self):
        self.model.eval()
        with torch.no_grad():
            xy, t = self.grid.missing
            return self.loss(self.model(xy), t).item()


fitter = Fitter(Grid())
for e in range(8):
    print(f"epoch {e}: train {fitter.epoch():.5f} missing entries {fitter.test():.5f}")
