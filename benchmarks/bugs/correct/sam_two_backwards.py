"""Sharpness-aware minimisation: climb to the neighbour, second backward there, return and step the base optimizer."""
import torch
import torch.nn as nn
from sklearn.datasets import make_moons


class SAM(torch.optim.Optimizer):
    def __init__(self, params, base_optimizer, rho=0.05, **kwargs):
        super().__init__(params, dict(rho=rho, **kwargs))
        self.base_optimizer = base_optimizer(self.param_groups, **kwargs)
        self.param_groups = self.base_optimizer.param_groups

    @torch.no_grad()
    def first_step(self):
        norm = torch.stack([p.grad.norm() for g in self.param_groups for p in g["params"]]).norm()
        for group in self.param_groups:
            for p in group["params"]:
                e = p.grad * (group["rho"] / (norm + 1e-12))
                self.state[p]["old_p"] = p.data.clone()
                p.add_(e)
        self.zero_grad()

    @torch.no_grad()
    def second_step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.data = self.state[p]["old_p"]
        self.base_optimizer.step()
        self.zero_grad()


def main():
    torch.manual_seed(21)
    X, y = make_moons(500, noise=0.15, random_state=21)
    X, y = torch.tensor(X, dtype=torch.float32), torch.tensor(y)
    X = (X - X[:400].mean(0)) / X[:400].std(0)
    model = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 2))
    opt = SAM(model.parameters(), torch.optim.SGD, rho=0.05, lr=0.2, momentum=0.9)
    ce = nn.CrossEntropyLoss()
    hist = []
    for _ in range(10):
        for idx in torch.randperm(400).split(50):
            loss = ce(model(X[idx]), y[idx])
            loss.backward()
            opt.first_step()
            ce(model(X[idx]), y[idx]).backward()
            opt.second_step()
            hist.append(loss.item())
    with torch.no_grad():
        acc = (model(X[400:]).argmax(1) == y[400:]).float().mean().item()
    print(f"loss {hist[0]:.4f} -> {hist[-1]:.4f}  held-out accuracy {acc:.3f}")


main()
