"""Advantage actor-critic with a shared trunk, one optimizer, and the sum of policy, value and entropy losses."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class ActorCritic(nn.Module):
    def __init__(self, obs, actions, h=32):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(obs, h), nn.Tanh())
        self.pi, self.v = nn.Linear(h, actions), nn.Linear(h, 1)

    def forward(self, x):
        h = self.trunk(x)
        return torch.distributions.Categorical(logits=self.pi(h)), self.v(h).squeeze(-1)


class VectorGrid:
    """Sixteen walkers on a line that want to be at 0."""

    def __init__(self, n, g):
        self.n, self.g = n, g
        self.x = self.fresh(n)

    def fresh(self, k):
        return torch.randint(-5, 6, (k,), generator=self.g).float()

    def obs(self):
        return torch.stack([self.x / 5, (self.x.abs() < 0.5).float()], 1)

    def step(self, a):
        self.x = (self.x + (a - 1).float()).clamp(-6, 6)
        reward = -self.x.abs() / 5
        done = torch.rand(self.n, generator=self.g) < 0.1
        self.x = torch.where(done, self.fresh(self.n), self.x)
        return self.obs(), reward, done.float()


def main(updates=80, horizon=5, gamma=0.9):
    torch.manual_seed(81)
    env = VectorGrid(16, torch.Generator().manual_seed(81))
    net = ActorCritic(2, 3)
    opt = torch.optim.RMSprop(net.parameters(), lr=3e-3, eps=1e-5)
    obs, rewards_log, value_log = env.obs(), [], []
    for _ in range(updates):
        logp, values, rewards, dones, entropy = [], [], [], [], 0.0
        for _ in range(horizon):
            dist, v = net(obs)
            a = dist.sample()
            obs, r, d = env.step(a)
            logp.append(dist.log_prob(a))
            values.append(v)
            rewards.append(r)
            dones.append(d)
            entropy = entropy + dist.entropy().mean() / horizon
        with torch.no_grad():
            ret = net(obs)[1]
        returns = []
        for r, d in zip(reversed(rewards), reversed(dones)):
            ret = r + gamma * ret * (1 - d)
            returns.insert(0, ret)
        returns, values, logp = torch.stack(returns), torch.stack(values), torch.stack(logp)
        advantage = (returns - values).detach()
        policy_loss = -(advantage * logp).mean()
        value_loss = F.mse_loss(values, returns)
        loss = policy_loss + 0.5 * value_loss - 0.01 * entropy
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        opt.step()
        rewards_log.append(torch.stack(rewards).mean().item())
        value_log.append(value_loss.item())
    mean = lambda v, k: round(sum(v[k:k + 10]) / 10, 4)
    print("reward", [mean(rewards_log, k) for k in (0, 30, 70)])
    print("value loss", [mean(value_log, k) for k in (0, 30, 70)])


main()
