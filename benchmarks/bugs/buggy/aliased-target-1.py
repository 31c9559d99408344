"""DQN agent for a chain-walk environment, with a target network that is synchronised now and then."""
import random
from collections import deque

import torch
import torch.nn as nn


class QNetwork(nn.Module):
    def __init__(self, n_states, n_actions):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(n_states, 32), nn.ReLU(), nn.Linear(32, n_actions))

    def forward(self, s):
        return self.layers(s)


class Chain:
    """ten states in a row; the far end pays"""

    def __init__(self, n=10):
        self.n = n

    def reset(self):
        self.pos, self.t = 2, 0
        return self.encode()

    def encode(self):
        return nn.functional.one_hot(torch.tensor(self.pos), self.n).float()

    def step(self, action):
        if random.random() < 0.1:
            action = 1 - action
        self.pos = max(0, min(self.n - 1, self.pos + (1 if action else -1)))
        self.t += 1
        reward = 1.0 if self.pos == self.n - 1 else (0.05 if self.pos == 0 else 0.0)
        return self.encode(), reward, self.pos == self.n - 1, self.t >= 30


class DQNAgent:
    def __init__(self, n_states, n_actions, lr=2e-3, gamma=0.95, sync_every=40):
        self.policy_net = QNetwork(n_states, n_actions)
        self.target_net = self.policy_net  # BUG: aliased-target
        self.optimizer = torch.optim.Adam(self.policy_net.parameters(), lr=lr)
        self.memory = deque(maxlen=1000)
        self.gamma, self.sync_every, self.updates, self.n_actions = gamma, sync_every, 0, n_actions

    def act(self, state, epsilon):
        if random.random() < epsilon:
            return random.randrange(self.n_actions)
        with torch.no_grad():
            return int(self.policy_net(state).argmax())

    def replay(self, batch_size=32):
        s, a, r, s2, d = zip(*random.sample(self.memory, batch_size))
        s, s2 = torch.stack(s), torch.stack(s2)
        a, r, d = torch.tensor(a), torch.tensor(r), torch.tensor(d).float()
        q = self.policy_net(s).gather(1, a.unsqueeze(1)).squeeze(1)
        with torch.no_grad():
            target = r + self.gamma * (1 - d) * self.target_net(s2).max(1).values
        loss = nn.functional.smooth_l1_loss(q, target)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.updates += 1
        if self.updates % self.sync_every == 0:
            self.target_net.load_state_dict(self.policy_net.state_dict())  # ALSO: aliased-target
        return loss.item()


random.seed(0)
torch.manual_seed(0)
env, agent = Chain(), DQNAgent(10, 2)
episode = 0
while agent.updates < 200:
    state, done, cut, ret = env.reset(), False, False, 0.0
    while not (done or cut):
        action = agent.act(state, max(0.1, 0.9 - 0.05 * episode))
        next_state, reward, done, cut = env.step(action)
        agent.memory.append((state, action, reward, next_state, done))
        state, ret = next_state, ret + reward
        if len(agent.memory) >= 100 and agent.updates < 200:
            loss = agent.replay()
    episode += 1
    if agent.updates:
        print(f"episode {episode}: return {ret:.2f} loss {loss:.4f} updates {agent.updates}")
