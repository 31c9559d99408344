"""REINFORCE with a baseline on a small corridor world (policy and value networks are separate)."""
import torch
from torch import nn
from torch.distributions import Categorical

torch.manual_seed(4)
N, HORIZON, ENVS, GAMMA = 9, 16, 24, 0.97


def features(pos):
    return nn.functional.one_hot(pos, N).float()


def rollout(policy):
    pos = torch.full((ENVS,), N // 2)
    done = torch.zeros(ENVS, dtype=torch.bool)
    obs, logps, rewards, masks = [], [], [], []
    for _ in range(HORIZON):
        s = features(pos)
        dist = Categorical(logits=policy(s))
        a = dist.sample()
        pos = torch.where(done, pos, (pos + 2 * a - 1).clamp(0, N - 1))
        r = torch.where(pos == N - 1, 1.0, torch.where(pos == 0, -1.0, -0.02))
        obs.append(s), logps.append(dist.log_prob(a)), masks.append(~done)
        rewards.append(torch.where(done, torch.zeros(()), r))
        done = done | (pos == 0) | (pos == N - 1)
    return torch.stack(obs), torch.stack(logps), torch.stack(rewards), torch.stack(masks).float()


def returns_of(rewards):
    out, running = torch.zeros_like(rewards), torch.zeros(ENVS)
    for t in reversed(range(HORIZON)):
        running = rewards[t] + GAMMA * running
        out[t] = running
    return out


policy = nn.Sequential(nn.Linear(N, 32), nn.Tanh(), nn.Linear(32, 2))
value = nn.Sequential(nn.Linear(N, 32), nn.Tanh(), nn.Linear(32, 1))
policy_opt = torch.optim.Adam(policy.parameters(), lr=5e-3)
value_opt = torch.optim.Adam(value.parameters(), lr=1e-2)

for update in range(1, 91):
    obs, logps, rewards, mask = rollout(policy)
    ret = returns_of(rewards)

    v = value(obs).squeeze(-1)
    value_loss = ((v - ret) ** 2 * mask).sum() / mask.sum()
    value_opt.zero_grad()
    value_loss.backward()
    nn.utils.clip_grad_norm_(value.parameters(), 0.5)
    value_opt.step()

    adv = (ret - v.detach()) * mask
    policy_loss = -(logps * adv).sum() / mask.sum()
    policy_opt.zero_grad()
    policy_loss.backward()
    nn.utils.clip_grad_norm_(value.parameters(), 0.5)  # BUG: clip-without-effect
    policy_opt.step()  # ALSO: clip-without-effect

    if update % 15 == 0:
        print(f"update {update:3d}  return {rewards.sum(0).mean():+.3f}  value loss {value_loss.item():.4f}")
