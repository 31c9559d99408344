"""DQN on a small windy grid world with replay memory."""
import collections
import random

import torch
import torch.nn as nn
import torch.nn.functional as F

random.seed(0)
torch.manual_seed(0)

SIZE = 5
Transition = collections.namedtuple("Transition", "state action reward next_state done")


class WindyGrid:
    moves = [(0, 1), (0, -1), (1, 0), (-1, 0)]

    def reset(self):
        self.pos, self.t = (0, 0), 0
        return self.observe()

    def observe(self):
        s = torch.zeros(SIZE * SIZE)
        s[self.pos[0] * SIZE + self.pos[1]] = 1
        return s

    def step(self, action):
        dx, dy = self.moves[action]
        if random.random() < 0.1:
            dy += 1
        clip = lambda v: max(0, min(SIZE - 1, v))
        self.pos, self.t = (clip(self.pos[0] + dx), clip(self.pos[1] + dy)), self.t + 1
        done = self.pos == (SIZE - 1, SIZE - 1)
        return self.observe(), (1.0 if done else -0.02), done or self.t >= 40, done


q_net = nn.Sequential(nn.Linear(SIZE * SIZE, 48), nn.ReLU(), nn.Linear(48, 4))
optimizer = torch.optim.Adam(q_net.parameters(), lr=2e-3)
memory = collections.deque(maxlen=2000)
GAMMA, BATCH = 0.95, 48
updates = 0


def act(state, eps):
    if random.random() < eps:
        return random.randrange(4)
    with torch.no_grad():
        return int(q_net(state).argmax())


def optimize():
    batch = Transition(*zip(*random.sample(memory, BATCH)))
    state, next_state = torch.stack(batch.state), torch.stack(batch.next_state)
    action = torch.tensor(batch.action).unsqueeze(1)
    reward, done = torch.tensor(batch.reward), torch.tensor(batch.done, dtype=torch.float32)
    q = q_net(state).gather(1, action).squeeze(1)
    target = reward + GAMMA * (1 - done) * q_net(next_state).max(1).values  # ALSO: undetached-target
    loss = F.mse_loss(q, target)  # BUG: undetached-target
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


env = WindyGrid()
episode = 0
while updates < 200:
    state, over, ret = env.reset(), False, 0.0
    eps = max(0.1, 1.0 - 0.02 * episode)
    while not over and updates < 200:
        action = act(state, eps)
        next_state, reward, over, reached = env.step(action)
        memory.append(Transition(state, action, reward, next_state, reached))
        state, ret = next_state, ret + reward
        if len(memory) >= 4 * BATCH:
            loss = optimize()
            updates += 1
    episode += 1
    if updates and episode % 2 == 0:
        print(f"episode {episode} return {ret:+.2f} eps {eps:.2f} loss {loss:.4f} updates {updates}")
