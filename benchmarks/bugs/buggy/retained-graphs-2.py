"""Policy-gradient agent for a contextual bandit that keeps statistics of every step."""
import collections

import torch
from torch import nn
from torch.distributions import Categorical


class ContextualBandit:
    def __init__(self, arms=5, dim=8, seed=0):
        self.g = torch.Generator().manual_seed(seed)
        self.theta = torch.randn(arms, dim, generator=self.g)

    def contexts(self, n):
        return torch.randn(n, self.theta.size(1), generator=self.g)

    def pull(self, x, arm):
        mean = (x * self.theta[arm]).sum(1) / x.size(1) ** 0.5
        return mean + 0.1 * torch.randn(len(x), generator=self.g)


class Agent:
    def __init__(self, dim=8, arms=5, lr=5e-3, entropy=0.01):
        self.policy = nn.Sequential(nn.Linear(dim, 32), nn.ReLU(), nn.Linear(32, arms))
        self.optimizer = torch.optim.Adam(self.policy.parameters(), lr=lr)
        self.entropy = entropy
        self.baseline = 0.0
        self.stats = collections.defaultdict(list)

    def learn(self, env, batch=64):
        x = env.contexts(batch)
        dist = Categorical(logits=self.policy(x))
        arm = dist.sample()
        reward = env.pull(x, arm)
        self.baseline = 0.9 * self.baseline + 0.1 * reward.mean().item()
        pg_loss = -(dist.log_prob(arm) * (reward - self.baseline)).mean()
        entropy = dist.entropy().mean()
        loss = pg_loss - self.entropy * entropy
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.stats["reward"].append(reward.mean().item())
        self.stats["loss"].append(loss)  # BUG: retained-graphs
        self.stats["entropy"].append(entropy)  # ALSO: retained-graphs

    def report(self, last=25):
        return {k: round(float(sum(v[-last:]) / last), 4) for k, v in self.stats.items()}


def main():
    torch.manual_seed(0)
    env, agent = ContextualBandit(), Agent()
    for step in range(1, 126):
        agent.learn(env)
        if step % 25 == 0:
            print(step, agent.report())


main()
