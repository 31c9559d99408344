"""SAC in the minimal style: every Q net, targets too, carries its own optimizer; target nets only move by soft update."""
import random
from collections import deque

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.distributions import Normal

random.seed(85)
torch.manual_seed(85)
gamma, tau, target_entropy = 0.8, 0.02, -1.0


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.mu, self.std = nn.Linear(1, 32), nn.Linear(32, 1), nn.Linear(32, 1)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=3e-3)
        self.log_alpha = torch.tensor(-2.0, requires_grad=True)
        self.log_alpha_optimizer = torch.optim.Adam([self.log_alpha], lr=3e-3)

    def forward(self, s):
        h = F.relu(self.fc(s))
        dist = Normal(self.mu(h), F.softplus(self.std(h)) + 1e-3)
        raw = dist.rsample()
        a = torch.tanh(raw)
        return a, (dist.log_prob(raw) - torch.log(1 - a.pow(2) + 1e-6)).sum(1, keepdim=True)

    def train_net(self, q1, q2, s):
        a, logp = self(s)
        loss = (self.log_alpha.exp().detach() * logp - torch.min(q1(s, a), q2(s, a))).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.log_alpha_optimizer.zero_grad()
        alpha_loss = -(self.log_alpha.exp() * (logp + target_entropy).detach()).mean()
        alpha_loss.backward()
        self.log_alpha_optimizer.step()


class QNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 1))
        self.optimizer = torch.optim.Adam(self.parameters(), lr=3e-3)

    def forward(self, s, a):
        return self.net(torch.cat([s, a], 1))

    def train_net(self, target, s, a):
        loss = F.smooth_l1_loss(self(s, a), target)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def soft_update(self, online):
        for t, o in zip(self.parameters(), online.parameters()):
            t.data.copy_(t.data * (1 - tau) + o.data * tau)


q1, q2, t1, t2, pi = QNet(), QNet(), QNet(), QNet(), Policy()
t1.load_state_dict(q1.state_dict())
t2.load_state_dict(q2.state_dict())
memory, q_log, r_log = deque(maxlen=2000), [], []
s = torch.zeros(1)
for step in range(280):
    with torch.no_grad():
        a = pi(s.unsqueeze(0))[0].squeeze(0)
    nxt = (s + 0.5 * a + 0.05 * torch.randn(1)).clamp(-2, 2)
    reward = -(nxt - 1.0).abs()
    memory.append((s, a, reward, nxt))
    r_log.append(reward.item())
    s = nxt if step % 10 != 9 else torch.rand(1) * 4 - 2
    if len(memory) >= 64:
        S, A, R, N = (torch.stack(c) for c in zip(*random.sample(memory, 32)))
        with torch.no_grad():
            an, logp = pi(N)
            target = R + gamma * (torch.min(t1(N, an), t2(N, an)) - pi.log_alpha.exp() * logp)
        q_log.append(q1.train_net(target, S, A))
        q2.train_net(target, S, A)
        pi.train_net(q1, q2, S)
        t1.soft_update(q1)
        t2.soft_update(q2)
print("q loss", round(q_log[0], 4), round(sum(q_log[-20:]) / 20, 4))
print("reward", round(sum(r_log[:60]) / 60, 4), round(sum(r_log[-60:]) / 60, 4))
