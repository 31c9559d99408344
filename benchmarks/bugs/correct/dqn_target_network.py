"""Double DQN with replay memory, epsilon-greedy play under no_grad and a hard-copied target network."""
import random
from collections import deque

import torch
import torch.nn as nn
import torch.nn.functional as F

SIZE, GAMMA = 4, 0.9


class GridWorld:
    moves = ((0, 1), (0, -1), (1, 0), (-1, 0))

    def reset(self):
        self.pos, self.t = (0, 0), 0
        return self.obs()

    def obs(self):
        o = torch.zeros(SIZE, SIZE)
        o[self.pos] = 1.0
        return o.flatten()

    def step(self, a):
        dr, dc = self.moves[a]
        r, c = self.pos[0] + dr, self.pos[1] + dc
        self.pos = (min(max(r, 0), SIZE - 1), min(max(c, 0), SIZE - 1))
        self.t += 1
        goal = self.pos == (SIZE - 1, SIZE - 1)
        return self.obs(), (1.0 if goal else -0.02), goal, goal or self.t >= 30


def make():
    return nn.Sequential(nn.Linear(SIZE * SIZE, 32), nn.ReLU(), nn.Linear(32, 4))


random.seed(83)
torch.manual_seed(83)
policy_net, target_net = make(), make()
target_net.load_state_dict(policy_net.state_dict())
target_net.eval()
optimizer = torch.optim.AdamW(policy_net.parameters(), lr=3e-3, amsgrad=True, weight_decay=0.0)
memory, env = deque(maxlen=1000), GridWorld()
updates, td, steps_per_episode = 0, [], []

for episode in range(30):
    obs, over = env.reset(), False
    while not over:
        if random.random() < max(0.05, 0.9 ** episode):
            action = random.randrange(4)
        else:
            with torch.no_grad():
                action = policy_net(obs).argmax().item()
        nxt, reward, terminal, over = env.step(action)
        memory.append((obs, action, reward, nxt, float(terminal)))
        obs = nxt
        if len(memory) < 64:
            continue
        s, a, r, n, d = zip(*random.sample(memory, 32))
        s, n, a = torch.stack(s), torch.stack(n), torch.tensor(a)
        r, d = torch.tensor(r), torch.tensor(d)
        q = policy_net(s).gather(1, a.unsqueeze(1)).squeeze(1)
        with torch.no_grad():
            best = policy_net(n).argmax(1, keepdim=True)
            target = r + GAMMA * (1 - d) * target_net(n).gather(1, best).squeeze(1)
        loss = F.smooth_l1_loss(q, target)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_value_(policy_net.parameters(), 100)
        optimizer.step()
        updates += 1
        td.append(loss.item())
        if updates % 25 == 0:
            target_net.load_state_dict(policy_net.state_dict())
    steps_per_episode.append(env.t)

print("updates", updates, "td loss", f"{td[0]:.4f}", f"{sum(td[-20:]) / 20:.4f}")
print("steps per episode", steps_per_episode[:3], steps_per_episode[-3:])
