"""Continuous-bandit actor and critic with separate optimizers; the critic collects gradients from the actor's loss."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(82)


def reward(state, action):
    """Best action is a smooth function of the state."""
    return -(action - torch.sin(2 * state)).pow(2)


actor = nn.Sequential(nn.Linear(1, 32), nn.ReLU(), nn.Linear(32, 1), nn.Tanh())
critic = nn.Sequential(nn.Linear(2, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 1))
actor_opt = torch.optim.Adam(actor.parameters(), lr=2e-3)
critic_opt = torch.optim.Adam(critic.parameters(), lr=5e-3)

buffer_s, buffer_a, buffer_r = [], [], []
log = []
for step in range(120):
    # act
    s = torch.rand(32, 1) * 3 - 1.5
    with torch.no_grad():
        a = (actor(s) + 0.3 * torch.randn(32, 1)).clamp(-1, 1)
    buffer_s.append(s)
    buffer_a.append(a)
    buffer_r.append(reward(s, a))

    # learn
    S, A, R = torch.cat(buffer_s), torch.cat(buffer_a), torch.cat(buffer_r)
    idx = torch.randint(0, len(S), (64,))
    critic_loss = F.mse_loss(critic(torch.cat([S[idx], A[idx]], 1)), R[idx])
    critic_opt.zero_grad()
    critic_loss.backward()
    critic_opt.step()

    actor_loss = -critic(torch.cat([S[idx], actor(S[idx])], 1)).mean()
    actor_opt.zero_grad()
    actor_loss.backward()
    actor_opt.step()
    log.append((critic_loss.item(), actor_loss.item()))

with torch.no_grad():
    s = torch.linspace(-1.5, 1.5, 100).unsqueeze(1)
    regret = -reward(s, actor(s)).mean().item()
print("critic", [round(log[k][0], 4) for k in (0, 60, 119)])
print("actor", [round(log[k][1], 4) for k in (0, 60, 119)])
print("mean regret", round(regret, 4))
