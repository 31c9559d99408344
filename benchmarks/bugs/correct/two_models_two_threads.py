"""Two unrelated models train at the same time in a thread pool, each with its own generator, data and optimizer."""
from concurrent.futures import ThreadPoolExecutor

import torch
import torch.nn as nn

torch.set_num_threads(1)


def init(net, g):
    for p in net.parameters():
        with torch.no_grad():
            p.uniform_(-0.4, 0.4, generator=g)
    return net


def regression(seed):
    g = torch.Generator().manual_seed(seed)
    net = init(nn.Sequential(nn.Linear(3, 24), nn.Tanh(), nn.Linear(24, 1)), g)
    opt = torch.optim.Adam(net.parameters(), lr=1e-2)
    out = []
    for _ in range(120):
        x = torch.randn(64, 3, generator=g)
        loss = nn.functional.mse_loss(net(x), x[:, :2].prod(1, keepdim=True))
        opt.zero_grad()
        loss.backward()
        opt.step()
        out.append(loss.item())
    return "regression", out


def classification(seed):
    g = torch.Generator().manual_seed(seed)
    net = init(nn.Sequential(nn.Linear(2, 24), nn.ReLU(), nn.Linear(24, 2)), g)
    opt = torch.optim.SGD(net.parameters(), lr=0.3, momentum=0.9)
    out = []
    for _ in range(150):
        x = torch.randn(64, 2, generator=g)
        loss = nn.functional.cross_entropy(net(x), (x[:, 0] * x[:, 1] > 0).long())
        opt.zero_grad()
        loss.backward()
        opt.step()
        out.append(loss.item())
    return "classification", out


if __name__ == "__main__":
    with ThreadPoolExecutor(2) as pool:
        for name, log in (f.result() for f in [pool.submit(regression, 1), pool.submit(classification, 2)]):
            print(name, f"{sum(log[:10]) / 10:.4f} -> {sum(log[-10:]) / 10:.4f}")
