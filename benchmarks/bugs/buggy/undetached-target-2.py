"""Advantage actor-critic on a batch of simulated cart-pole systems."""
import torch
import torch.nn as nn
from torch.distributions import Categorical


class CartPoles:
    """n cart-poles advanced together (Euler integration)"""

    def __init__(self, n, seed=0):
        self.n, self.g = n, torch.Generator().manual_seed(seed)
        self.s = self._fresh(n)

    def _fresh(self, n):
        return 0.1 * torch.rand(n, 4, generator=self.g) - 0.05

    def step(self, action):
        x, v, th, w = self.s.unbind(1)
        force = 10.0 * (2 * action.float() - 1)
        tmp = (force + 0.05 * w ** 2 * th.sin()) / 1.1
        alpha = (9.8 * th.sin() - th.cos() * tmp) / (0.5 * (4 / 3 - 0.1 * th.cos() ** 2 / 1.1))
        acc = tmp - 0.05 * alpha * th.cos() / 1.1
        self.s = torch.stack([x + 0.02 * v, v + 0.02 * acc, th + 0.02 * w, w + 0.02 * alpha], 1)
        done = (self.s[:, 0].abs() > 2.4) | (self.s[:, 2].abs() > 0.21)
        before_reset = self.s
        self.s = torch.where(done[:, None], self._fresh(self.n), self.s)
        return before_reset, done.float()


class ActorCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.actor = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 2))
        self.critic = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 1))

    def forward(self, s):
        s = s * torch.tensor([1.0, 0.5, 5.0, 0.5])
        return Categorical(logits=self.actor(s)), self.critic(s).squeeze(-1)


class A2C:
    def __init__(self, n_envs=16, horizon=5, gamma=0.97, lr=3e-3):
        self.env, self.horizon, self.gamma = CartPoles(n_envs), horizon, gamma
        self.net = ActorCritic()
        self.opt = torch.optim.Adam(self.net.parameters(), lr=lr)

    def update(self):
        policy_loss = value_loss = entropy = falls = 0.0
        for _ in range(self.horizon):
            dist, value = self.net(self.env.s)
            action = dist.sample()
            next_state, done = self.env.step(action)
            reward = 1.0 - done
            _, next_value = self.net(next_state)
            td_target = reward + self.gamma * next_value * (1 - done)  # ALSO: undetached-target
            advantage = td_target - value
            value_loss = value_loss + 0.05 * advantage.pow(2).mean()  # BUG: undetached-target
            policy_loss = policy_loss - (dist.log_prob(action) * advantage.detach()).mean()
            entropy = entropy + dist.entropy().mean()
            falls += done.mean().item()
        loss = (policy_loss + value_loss - 0.01 * entropy) / self.horizon
        self.opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 0.5)
        self.opt.step()
        return falls / self.horizon, float(value_loss.detach()) / self.horizon


if __name__ == "__main__":
    torch.manual_seed(0)
    agent = A2C()
    for it in range(1, 151):
        falls, vloss = agent.update()
        if it % 25 == 0:
            print(f"update {it}: falls per step {falls:.3f} value loss {vloss:.4f}")
