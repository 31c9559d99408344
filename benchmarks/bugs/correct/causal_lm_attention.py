"""Hand-written causal self-attention language model; the attention layout is (b, i, j, h) and softmax runs over j."""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

text = "".join(f"{a}+{b}={a + b:02d};" for a in range(10) for b in range(10))
vocab = sorted(set(text))
ids = torch.tensor([vocab.index(c) for c in text]).view(100, 7)


class CausalAttention(nn.Module):
    def __init__(self, d, heads, length):
        super().__init__()
        self.h, self.qkv, self.proj = heads, nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.register_buffer("mask", torch.tril(torch.ones(length, length, dtype=torch.bool)).view(1, length, length, 1))

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.h, d // self.h).unbind(2)
        score = torch.einsum("bihd,bjhd->bijh", q, k) / math.sqrt(d // self.h)
        score = score.masked_fill(~self.mask[:, :t, :t], float("-inf"))
        weight = score.softmax(dim=2)
        return self.proj(torch.einsum("bijh,bjhd->bihd", weight, v).reshape(b, t, d))


class LM(nn.Module):
    def __init__(self, n, d=32, length=6):
        super().__init__()
        self.tok, self.pos = nn.Embedding(n, d), nn.Parameter(torch.zeros(length, d))
        self.ln1, self.att, self.ln2 = nn.LayerNorm(d), CausalAttention(d, 4, length), nn.LayerNorm(d)
        self.mlp = nn.Sequential(nn.Linear(d, 96), nn.GELU(), nn.Linear(96, d))
        self.ln3, self.head = nn.LayerNorm(d), nn.Linear(d, n, bias=False)

    def forward(self, x):
        h = self.tok(x) + self.pos
        h = h + self.att(self.ln1(h))
        h = h + self.mlp(self.ln2(h))
        return self.head(self.ln3(h))


torch.manual_seed(51)
order = torch.randperm(100)
train, valid = ids[order[:85]], ids[order[85:]]
model = LM(len(vocab))
opt = torch.optim.AdamW(model.parameters(), lr=5e-3, betas=(0.9, 0.95), weight_decay=0.0)
hist = []
for epoch in range(30):
    for idx in torch.randperm(85).split(17):
        x, y = train[idx, :-1], train[idx, 1:]
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        hist.append(loss.item())
model.eval()
with torch.no_grad():
    v = F.cross_entropy(model(valid[:, :-1])[:, 3:5].flatten(0, 1), valid[:, 4:6].flatten()).item()
print("train", [round(hist[k], 4) for k in (0, 50, 100, 149)], "valid on the two result digits", round(v, 4))
