"""Policy-gradient surrogate that adds an (N,1) penalty to an (N,) term under a mean, which changes nothing in the result."""
import torch
import torch.nn as nn
from torch.distributions import Categorical, kl_divergence


class Bandit:
    """Contextual bandit with five arms."""

    def __init__(self, g):
        self.g, self.theta = g, torch.randn(6, 5, generator=g)

    def contexts(self, n):
        return torch.randn(n, 6, generator=self.g)

    def reward(self, c, a):
        return (c @ self.theta).gather(1, a[:, None]).squeeze(1)

    def best(self, c):
        return (c @ self.theta).max(1).values


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 5))
        self.baseline = nn.Linear(6, 1)

    def forward(self, c):
        return Categorical(logits=self.net(c)), self.baseline(c)


torch.manual_seed(122)
bandit = Bandit(torch.Generator().manual_seed(122))
policy = Policy()
opt = torch.optim.Adam(policy.parameters(), lr=1e-2)
uniform = Categorical(logits=torch.zeros(5))
regrets = []
for step in range(150):
    c = bandit.contexts(128)
    dist, value = policy(c)
    a = dist.sample()
    r = bandit.reward(c, a)
    advantage = r - value.detach().squeeze(1)
    surrogate = -(dist.log_prob(a) * advantage)                   # (N,)
    penalty = 0.02 * kl_divergence(dist, uniform).unsqueeze(1)    # (N, 1)
    value_loss = (value.squeeze(1) - r).pow(2).mean()
    loss = (surrogate + penalty).mean() + 0.5 * value_loss
    opt.zero_grad()
    loss.backward()
    opt.step()
    regrets.append((bandit.best(c) - r).mean().item())
print("mean regret", [round(sum(regrets[k:k + 15]) / 15, 4) for k in (0, 60, 135)])
