"""TD3 agent class: twin critics in one optimizer, smoothed targets, the actor updated at every second critic step."""
import copy

import torch
import torch.nn as nn
import torch.nn.functional as F


def mlp(i, o, out=None):
    layers = [nn.Linear(i, 32), nn.ReLU(), nn.Linear(32, o)]
    return nn.Sequential(*layers, *([out] if out else []))


class TD3:
    def __init__(self, gamma=0.8, tau=0.02, delay=2):
        self.actor, self.critics = mlp(2, 1, nn.Tanh()), nn.ModuleList([mlp(3, 1), mlp(3, 1)])
        self.actor_t, self.critics_t = copy.deepcopy(self.actor), copy.deepcopy(self.critics)
        self.actor_opt = torch.optim.Adam(self.actor.parameters(), lr=2e-3)
        self.critic_opt = torch.optim.Adam(self.critics.parameters(), lr=4e-3)
        self.gamma, self.tau, self.delay, self.it = gamma, tau, delay, 0

    def act(self, s, noise=0.0):
        with torch.no_grad():
            return (self.actor(s) + noise * torch.randn(len(s), 1)).clamp(-1, 1)

    def learn(self, s, a, r, n):
        self.it += 1
        with torch.no_grad():
            an = (self.actor_t(n) + (0.2 * torch.randn_like(a)).clamp(-0.4, 0.4)).clamp(-1, 1)
            q = torch.min(*[c(torch.cat([n, an], 1)) for c in self.critics_t])
            target = r + self.gamma * q
        loss = sum(F.mse_loss(c(torch.cat([s, a], 1)), target) for c in self.critics)
        self.critic_opt.zero_grad()
        loss.backward()
        self.critic_opt.step()
        if self.it % self.delay == 0:
            actor_loss = -self.critics[0](torch.cat([s, self.actor(s)], 1)).mean()
            self.actor_opt.zero_grad()
            actor_loss.backward()
            self.actor_opt.step()
            with torch.no_grad():
                for live, slow in ((self.actor, self.actor_t), (self.critics, self.critics_t)):
                    for p, t in zip(live.parameters(), slow.parameters()):
                        t.lerp_(p, self.tau)
        return loss.item()


def env_step(s, a):
    """A cart: position and velocity; be at the origin."""
    v = (s[:, 1:] + 0.4 * a).clamp(-1, 1)
    x = (s[:, :1] + v).clamp(-2, 2)
    return torch.cat([x, v], 1), -x.abs() - 0.1 * a.abs()


torch.manual_seed(191)
agent, buffer, losses, returns = TD3(), [], [], []
for episode in range(30):
    s, total = torch.cat([torch.rand(16, 1) * 4 - 2, torch.zeros(16, 1)], 1), 0.0
    for t in range(10):
        a = agent.act(s, noise=0.3)
        n, r = env_step(s, a)
        buffer.append((s, a, r, n))
        s, total = n, total + r.mean().item()
        S, A, R, N = (torch.cat(c) for c in zip(*buffer[-100:]))
        idx = torch.randint(0, len(S), (64,))
        losses.append(agent.learn(S[idx], A[idx], R[idx], N[idx]))
    returns.append(total)
mean = lambda v: round(sum(v) / len(v), 4)
print("critic loss", mean(losses[:20]), mean(losses[-20:]))
print("return", mean(returns[:3]), mean(returns[-3:]))
