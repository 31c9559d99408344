"""REINFORCE with returns and a running baseline on a small corridor; one backward over a whole episode batch."""
import torch
import torch.nn as nn
from torch.distributions import Categorical


class Corridor:
    """Seven cells; reach the right end. Each move costs a little."""

    def __init__(self, n=7):
        self.n = n

    def reset(self):
        self.s, self.t = 2, 0
        return self.observe()

    def observe(self):
        return nn.functional.one_hot(torch.tensor(self.s), self.n).float()

    def step(self, action):
        self.s = max(0, self.s + (1 if action == 1 else -1))
        self.t += 1
        done = self.s == self.n - 1 or self.t >= 20
        return self.observe(), (1.0 if self.s == self.n - 1 else -0.05), done


def discount(rewards, gamma):
    out, g = [], 0.0
    for r in reversed(rewards):
        g = r + gamma * g
        out.insert(0, g)
    return torch.tensor(out)


torch.manual_seed(80)
env = Corridor()
policy = nn.Sequential(nn.Linear(7, 24), nn.Tanh(), nn.Linear(24, 2))
opt = torch.optim.Adam(policy.parameters(), lr=1e-2)
baseline, returns_log = 0.0, []
for update in range(25):
    losses, scores = [], []
    for episode in range(4):
        log_probs, rewards = [], []
        obs, done = env.reset(), False
        while not done:
            dist = Categorical(logits=policy(obs))
            action = dist.sample()
            log_probs.append(dist.log_prob(action))
            obs, r, done = env.step(action.item())
            rewards.append(r)
        returns = discount(rewards, 0.97)
        losses.append(-(torch.stack(log_probs) * (returns - baseline)).sum())
        scores.append(sum(rewards))
        baseline = 0.9 * baseline + 0.1 * returns.mean().item()
    opt.zero_grad()
    torch.stack(losses).mean().backward()
    opt.step()
    returns_log.append(sum(scores) / 4)

print("return", [round(sum(returns_log[k:k + 5]) / 5, 3) for k in (0, 10, 20)])
