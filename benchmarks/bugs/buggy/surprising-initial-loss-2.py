"""Name generator: a multi-layer perceptron over three characters of context (after makemore)."""
import random

import torch
import torch.nn as nn
import torch.nn.functional as F

rng = random.Random(42)
FIRST, MIDDLE, LAST = "bdfgklmnrst", "aeiou", ["na", "la", "n", "ra", "s", "ia", "el", "o"]
names = sorted({rng.choice(FIRST) + rng.choice(MIDDLE) + rng.choice(FIRST) + rng.choice(MIDDLE) + rng.choice(LAST)
                for _ in range(1500)})
rng.shuffle(names)
itos = ["."] + sorted(set("".join(names)))
stoi = {c: i for i, c in enumerate(itos)}
BLOCK = 3


def build_dataset(words):
    X, Y = [], []
    for w in words:
        context = [0] * BLOCK
        for ch in w + ".":
            X.append(context)
            Y.append(stoi[ch])
            context = context[1:] + [stoi[ch]]
    return torch.tensor(X), torch.tensor(Y)


class NameMLP(nn.Module):
    def __init__(self, n_embd=10, n_hidden=100):
        super().__init__()
        self.C = nn.Embedding(len(itos), n_embd)
        self.fc1 = nn.Linear(BLOCK * n_embd, n_hidden)
        self.fc2 = nn.Linear(n_hidden, len(itos))
        nn.init.normal_(self.fc2.weight)  # ALSO: surprising-initial-loss
        nn.init.normal_(self.fc2.bias)

    def forward(self, x):
        h = torch.tanh(self.fc1(self.C(x).flatten(1)))
        return self.fc2(h)


n1 = int(0.85 * len(names))
Xtr, Ytr = build_dataset(names[:n1])
Xdev, Ydev = build_dataset(names[n1:])
torch.manual_seed(2147483647)
model = NameMLP()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

for i in range(200):
    model.train()
    ix = torch.randint(0, len(Xtr), (32,))
    loss = F.cross_entropy(model(Xtr[ix]), Ytr[ix])  # BUG: surprising-initial-loss
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if i % 40 == 0 or i == 199:
        model.eval()
        with torch.no_grad():
            dev = F.cross_entropy(model(Xdev), Ydev).item()
        print(f"{i:4d}/200: {loss.item():.4f} dev {dev:.4f}")
