"""Saves the whole model object (a class of __main__) from an exit handler, after SystemExit in a finally block."""
import atexit
import copy
import io
import pickle
import sys

import torch
import torch.nn as nn


class Regressor(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, width), nn.SiLU(), nn.Linear(width, 1))

    def forward(self, x):
        return self.net(x).squeeze(-1)


class Session:
    def __init__(self):
        torch.manual_seed(188)
        self.model = Regressor(24)
        self.opt = torch.optim.Adam(self.model.parameters(), lr=1e-2)
        self.losses = []

    def run(self, steps):
        for _ in range(steps):
            x = torch.rand(64, 2) * 2 - 1
            loss = nn.functional.mse_loss(self.model(x), x[:, 0].abs() - x[:, 1] ** 2)
            self.opt.zero_grad()
            loss.backward()
            self.opt.step()
            self.losses.append(loss.item())


session = Session()


def goodbye():
    x = torch.linspace(-1, 1, 20).repeat(2, 1).T
    whole = io.BytesIO()
    torch.save(session.model, whole)
    whole.seek(0)
    loaded = torch.load(whole, weights_only=False)
    again = pickle.loads(pickle.dumps(session.model))
    twin = copy.deepcopy(session.model)
    with torch.no_grad():
        same = all(torch.equal(session.model(x), m(x)) for m in (loaded, again, twin))
    print(f"loss {session.losses[0]:.4f} -> {session.losses[-1]:.4f}, copies agree: {same}", type(loaded).__module__)


atexit.register(goodbye)
if __name__ == "__main__":
    try:
        session.run(150)
    finally:
        print("leaving")
        sys.exit(0)
