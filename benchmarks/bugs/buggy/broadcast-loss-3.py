"""PPO on a one-dimensional target-reaching task."""
import torch
import torch.nn as nn
from torch.distributions import Normal

torch.manual_seed(0)
ENVS, STEPS, EPOCHS, CLIP = 32, 8, 4, 0.2


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.pi = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 1))
        self.v = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 1))
        self.log_std = nn.Parameter(torch.zeros(1))

    def dist(self, obs):
        return Normal(self.pi(obs), self.log_std.exp())


def collect(policy):
    pos, goal = torch.randn(ENVS), torch.randn(ENVS)
    obs_l, act_l, logp_l, rew_l, val_l = [], [], [], [], []
    with torch.no_grad():
        for _ in range(STEPS):
            obs = torch.stack([pos, goal], 1)
            d = policy.dist(obs)
            a = d.sample()
            pos = pos + 0.5 * a.squeeze(1).clamp(-1, 1)
            obs_l.append(obs), act_l.append(a), logp_l.append(d.log_prob(a))
            rew_l.append(-(pos - goal).abs()), val_l.append(policy.v(obs).squeeze(1))
    ret, running = [], torch.zeros(ENVS)
    for r in reversed(rew_l):
        running = r + 0.9 * running
        ret.insert(0, running)
    flat = lambda xs: torch.cat(xs)
    returns, values = flat(ret), flat(val_l)
    adv = returns - values
    adv = (adv - adv.mean()) / (adv.std() + 1e-8)
    return flat(obs_l), flat(act_l), flat(logp_l), adv, returns, flat(rew_l).mean().item()


policy = Policy()
optimizer = torch.optim.Adam(policy.parameters(), lr=3e-3)
for it in range(1, 26):
    obs, act, old_logp, adv, returns, reward = collect(policy)
    for _ in range(EPOCHS):
        for idx in torch.randperm(len(obs)).split(128):
            logp = policy.dist(obs[idx]).log_prob(act[idx])
            ratio = (logp - old_logp[idx]).exp()
            unclipped = ratio * adv[idx]  # BUG: broadcast-loss
            clipped = ratio.clamp(1 - CLIP, 1 + CLIP) * adv[idx]  # ALSO: broadcast-loss
            pi_loss = -torch.min(unclipped, clipped).mean()
            v_loss = (policy.v(obs[idx]).squeeze(1) - returns[idx]).pow(2).mean()
            loss = pi_loss + 0.5 * v_loss
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(policy.parameters(), 0.5)
            optimizer.step()
    if it % 5 == 0:
        print(f"iteration {it}: mean reward {reward:+.3f} value loss {v_loss.item():.3f}")
