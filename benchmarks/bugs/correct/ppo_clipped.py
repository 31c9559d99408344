"""PPO: several epochs of minibatch updates on the same rollout, clipped ratio, early stop on KL."""
import torch
import torch.nn as nn
from torch.distributions import Normal

torch.manual_seed(84)


class PointEnv:
    """Push a point to the origin with bounded force."""

    def __init__(self, n):
        self.n = n

    def reset(self):
        self.x = torch.randn(self.n, 2)
        return self.x.clone()

    def step(self, a):
        self.x = self.x + 0.3 * a.clamp(-1, 1)
        return self.x.clone(), -self.x.norm(dim=1)


class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.mean = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 2))
        self.log_std = nn.Parameter(torch.full((2,), -0.5))
        self.value = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 1))
        nn.init.normal_(self.mean[-1].weight, std=0.01)

    def dist(self, s):
        return Normal(self.mean(s), self.log_std.exp())


agent, env = Agent(), PointEnv(32)
opt = torch.optim.Adam(agent.parameters(), lr=5e-3, eps=1e-5)
T, gamma, lam, clip = 8, 0.9, 0.95, 0.2
log = []
for iteration in range(12):
    obs, acts, logps, rews, vals = [], [], [], [], []
    s = env.reset()
    with torch.no_grad():
        for _ in range(T):
            d = agent.dist(s)
            a = d.sample()
            obs.append(s)
            acts.append(a)
            logps.append(d.log_prob(a).sum(-1))
            vals.append(agent.value(s).squeeze(-1))
            s, r = env.step(a)
            rews.append(r)
        vals.append(agent.value(s).squeeze(-1))
        adv, run = [], torch.zeros(32)
        for t in reversed(range(T)):
            run = rews[t] + gamma * vals[t + 1] - vals[t] + gamma * lam * run
            adv.insert(0, run)
    obs, acts, old_logp = torch.cat(obs), torch.cat(acts), torch.cat(logps)
    adv = torch.cat(adv)
    ret = adv + torch.cat(vals[:-1])
    for epoch in range(4):
        kl = 0.0
        for mb in torch.randperm(len(obs)).split(64):
            d = agent.dist(obs[mb])
            ratio = (d.log_prob(acts[mb]).sum(-1) - old_logp[mb]).exp()
            a = (adv[mb] - adv[mb].mean()) / (adv[mb].std() + 1e-8)
            policy = -torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a).mean()
            value = 0.5 * (agent.value(obs[mb]).squeeze(-1) - ret[mb]).pow(2).mean()
            loss = policy + 0.5 * value - 0.001 * d.entropy().mean()
            opt.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            opt.step()
            kl += (ratio - 1 - ratio.log()).mean().item() / 4
        if kl > 0.05:
            break
    log.append((torch.stack(rews).mean().item(), value.item()))
print("mean reward", [round(log[k][0], 4) for k in (0, 4, 8, 11)])
print("value loss", [round(log[k][1], 4) for k in (0, 4, 8, 11)])
