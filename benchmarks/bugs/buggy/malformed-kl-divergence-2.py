"""Consistency training: predictions on clean and perturbed inputs are pulled together on unlabelled data."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import make_moons


class Net(nn.Module):
    def __init__(self, width=48):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))

    def forward(self, x):
        return self.body(x)


class ConsistencyTrainer:
    def __init__(self, weight=1.0, sigma=0.15, lr=5e-3):
        self.net = Net()
        self.weight, self.sigma = weight, sigma
        self.opt = torch.optim.Adam(self.net.parameters(), lr=lr)

    def consistency(self, x):
        with torch.no_grad():
            target = F.softmax(self.net(x), dim=1)
        noisy = F.log_softmax(self.net(x + self.sigma * torch.randn_like(x)), dim=1)
        return F.kl_div(noisy, target, reduction="batchmean", log_target=True)  # BUG: malformed-kl-divergence

    def step(self, labelled, unlabelled):
        self.net.train()
        x, y = labelled
        supervised = F.cross_entropy(self.net(x), y)
        cons = self.consistency(unlabelled)  # ALSO: malformed-kl-divergence
        loss = supervised + self.weight * cons
        self.opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.opt.step()
        return supervised.item(), cons.item()

    @torch.no_grad()
    def accuracy(self, x, y):
        self.net.eval()
        return (self.net(x).argmax(1) == y).float().mean().item()


def main():
    torch.manual_seed(0)
    X, y = make_moons(1700, noise=0.1, random_state=0)
    X = torch.tensor((X - X[:1400].mean(0)) / X[:1400].std(0), dtype=torch.float32)
    y = torch.tensor(y)
    labelled, unlabelled, val = (X[:200], y[:200]), X[200:1400], (X[1400:], y[1400:])
    trainer = ConsistencyTrainer()
    for step in range(1, 121):
        i = torch.randint(0, 200, (32,))
        u = torch.randint(0, 1200, (64,))
        sup, cons = trainer.step((labelled[0][i], labelled[1][i]), unlabelled[u])
        if step % 30 == 0:
            print(f"step {step}: supervised {sup:.4f} consistency {cons:.4f} val acc {trainer.accuracy(*val):.3f}")


main()
