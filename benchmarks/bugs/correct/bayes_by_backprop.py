"""Bayes by backprop: weights are sampled in every forward, also at test time; KL to the prior is scaled by the batch count."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class BayesLinear(nn.Module):
    def __init__(self, i, o, prior=1.0):
        super().__init__()
        self.mu = nn.Parameter(torch.randn(o, i) * (1 / i) ** 0.5)
        self.rho = nn.Parameter(torch.full((o, i), -4.0))
        self.bias = nn.Parameter(torch.zeros(o))
        self.prior = prior

    def forward(self, x):
        sigma = F.softplus(self.rho)
        w = self.mu + sigma * torch.randn_like(sigma)
        self.kl = (torch.log(self.prior / sigma) + (sigma ** 2 + self.mu ** 2) / (2 * self.prior ** 2) - 0.5).sum()
        return F.linear(x, w, self.bias)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.l1, self.l2 = BayesLinear(1, 32), BayesLinear(32, 1)

    def forward(self, x):
        return self.l2(torch.tanh(self.l1(x)))


def main():
    torch.manual_seed(181)
    x = torch.rand(300, 1) * 3 - 1.5
    y = torch.sin(2 * x) + 0.1 * torch.randn(300, 1)
    xt = torch.linspace(-1.5, 1.5, 80).unsqueeze(1)
    net = Net()
    opt = torch.optim.Adam(net.parameters(), lr=1e-2)
    batches, trace = 6, []
    for epoch in range(30):
        total = 0.0
        for idx in torch.randperm(300).split(50):
            nll = F.mse_loss(net(x[idx]), y[idx], reduction="sum") / (2 * 0.1 ** 2)
            loss = (nll + (net.l1.kl + net.l2.kl) / batches) / 50
            opt.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            opt.step()
            total += loss.item() / batches
        trace.append(total)
    with torch.no_grad():
        draws = torch.stack([net(xt) for _ in range(20)])
    print("loss per sample", [round(trace[k], 3) for k in (0, 10, 20, 29)])
    print(f"test mse {F.mse_loss(draws.mean(0), torch.sin(2 * xt)).item():.4f} spread {draws.std(0).mean().item():.4f}")


main()
