"""Sequence classification with additive attention pooling over GRU states."""
import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


class AttentionPooling(nn.Module):
    def __init__(self, hidden, attn=16):
        super().__init__()
        self.w = nn.Linear(hidden, attn)
        self.u = nn.Linear(attn, 1, bias=False)

    def forward(self, states):                               # (batch, time, hidden)
        scores = self.u(torch.tanh(self.w(states)))          # (batch, time, 1)
        weights = F.softmax(scores, dim=0)  # BUG: softmax-over-batch
        return (weights * states).sum(dim=1), weights.squeeze(-1)


class AttentiveGRU(nn.Module):
    def __init__(self, vocab, classes, emb=20, hidden=24):
        super().__init__()
        self.emb = nn.Embedding(vocab, emb)
        self.gru = nn.GRU(emb, hidden, batch_first=True)
        self.pool = AttentionPooling(hidden)
        self.fc = nn.Linear(hidden, classes)

    def forward(self, x):
        states, _ = self.gru(self.emb(x))
        context, _ = self.pool(states)
        return self.fc(context)


def make_data(n, vocab, classes, length, g):
    x = torch.randint(classes, vocab, (n, length), generator=g)
    y = torch.randint(0, classes, (n,), generator=g)
    x[torch.arange(n), torch.randint(0, length, (n,), generator=g)] = y
    return TensorDataset(x, y)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--vocab", type=int, default=30)
    p.add_argument("--classes", type=int, default=4)
    p.add_argument("--length", type=int, default=12)
    p.add_argument("--epochs", type=int, default=5)
    p.add_argument("--lr", type=float, default=5e-3)
    a = p.parse_args()
    torch.manual_seed(0)
    g = torch.Generator().manual_seed(0)
    train = DataLoader(make_data(960, a.vocab, a.classes, a.length, g), batch_size=32, shuffle=True)
    val = DataLoader(make_data(192, a.vocab, a.classes, a.length, g), batch_size=32)
    model = AttentiveGRU(a.vocab, a.classes)
    opt = torch.optim.Adam(model.parameters(), lr=a.lr)
    for epoch in range(a.epochs):
        model.train()
        for x, y in train:
            loss = F.cross_entropy(model(x), y)
            opt.zero_grad()
            loss.backward()
            opt.step()
        model.eval()
        with torch.no_grad():
            acc = sum((model(x).argmax(1) == y).sum().item() for x, y in val) / 192
        print(f"epoch {epoch}: loss {loss.item():.4f} val acc {acc:.3f}")


main()
