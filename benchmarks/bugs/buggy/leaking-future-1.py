"""Character-level GPT on a generated nursery rhyme, with a Trainer class in the style of minGPT."""
import random
import types

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset


class CharDataset(Dataset):
    def __init__(self, text, block, vocab):
        self.ids, self.block = torch.tensor([vocab.index(c) for c in text]), block

    def __len__(self):
        return (len(self.ids) - 1) // self.block

    def __getitem__(self, i):
        s = self.ids[i * self.block:(i + 1) * self.block + 1]
        return s[:-1], s[1:]


class Attention(nn.Module):
    def __init__(self, d, h):
        super().__init__()
        self.h, self.qkv, self.proj = h, nn.Linear(d, 3 * d), nn.Linear(d, d)

    def forward(self, x):
        B, T, D = x.shape
        q, k, v = self.qkv(x).reshape(B, T, 3, self.h, D // self.h).permute(2, 0, 3, 1, 4)
        att = (q @ k.transpose(-2, -1)) * (D // self.h) ** -0.5
        att = F.softmax(att, dim=-1)  # BUG: leaking-future
        return self.proj((att @ v).transpose(1, 2).reshape(B, T, D))  # ALSO: leaking-future


class Block(nn.Module):
    def __init__(self, d, h):
        super().__init__()
        self.n1, self.n2, self.attn = nn.LayerNorm(d), nn.LayerNorm(d), Attention(d, h)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))

    def forward(self, x):
        x = x + self.attn(self.n1(x))
        return x + self.mlp(self.n2(x))


class CharGPT(nn.Module):
    def __init__(self, vocab, block, d=32, h=4, layers=2):
        super().__init__()
        self.tok, self.pos = nn.Embedding(vocab, d), nn.Parameter(torch.randn(block, d) * 0.02)
        self.blocks = nn.Sequential(*[Block(d, h) for _ in range(layers)])
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, vocab)

    def forward(self, idx):
        return self.head(self.norm(self.blocks(self.tok(idx) + self.pos[:idx.size(1)])))


class Trainer:
    def __init__(self, model, train_set, test_set, config):
        self.model, self.config = model, config
        size = config.batch_size
        self.train_loader, self.test_loader = DataLoader(train_set, size, shuffle=True), DataLoader(test_set, size)
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr)

    def run(self, train):
        self.model.train(train)
        losses = []
        for x, y in self.train_loader if train else self.test_loader:
            with torch.set_grad_enabled(train):
                loss = F.cross_entropy(self.model(x).flatten(0, 1), y.flatten())
            if train:
                self.optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
                self.optimizer.step()
            losses.append(loss.item())
        return sum(losses) / len(losses)

    def train(self):
        for epoch in range(self.config.epochs):
            print(f"epoch {epoch + 1}: train {self.run(True):.3f} test {self.run(False):.3f}")


rng = random.Random(0)
WORDS = ["jack", "jill", "hill", "water", "crown", "fell", "down", "pail", "after", "came", "tumbling", "went"]
text = " ".join(rng.choice(WORDS) for _ in range(6500))
vocab, cut = sorted(set(text)), int(0.85 * len(text))
torch.manual_seed(0)
config = types.SimpleNamespace(batch_size=32, lr=3e-3, epochs=3)
Trainer(CharGPT(len(vocab), 32), CharDataset(text[:cut], 32, vocab), CharDataset(text[cut:], 32, vocab), config).train()
