"""Train a tiny decoder-only transformer on synthetic arithmetic text with gradient accumulation."""
import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--block_size", type=int, default=24)
parser.add_argument("--micro_batch", type=int, default=8)
parser.add_argument("--grad_accum", type=int, default=4)
parser.add_argument("--max_iters", type=int, default=80)
parser.add_argument("--eval_interval", type=int, default=40)
parser.add_argument("--lr", type=float, default=0.05)
args = parser.parse_args()

torch.manual_seed(1337)
g = torch.Generator().manual_seed(0)
pairs = torch.randint(0, 50, (3000, 2), generator=g).tolist()
text = "".join(f"{a}+{b}={a + b};" for a, b in pairs)
chars = sorted(set(text))
stoi = {c: i for i, c in enumerate(chars)}
data = torch.tensor([stoi[c] for c in text])
n = int(0.9 * len(data))
splits = {"train": data[:n], "val": data[n:]}


def get_batch(split):
    d = splits[split]
    ix = torch.randint(len(d) - args.block_size - 1, (args.micro_batch,))
    x = torch.stack([d[i:i + args.block_size] for i in ix])
    y = torch.stack([d[i + 1:i + 1 + args.block_size] for i in ix])
    return x, y


class Block(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.ln1, self.ln2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))

    def forward(self, x):
        B, T, D = x.shape
        q, k, v = self.qkv(self.ln1(x)).view(B, T, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(a.transpose(1, 2).reshape(B, T, D))
        return x + self.mlp(self.ln2(x))


class TinyGPT(nn.Module):
    def __init__(self, vocab, d=32, heads=4, layers=2):
        super().__init__()
        self.tok, self.pos = nn.Embedding(vocab, d), nn.Embedding(args.block_size, d)
        self.blocks = nn.Sequential(*[Block(d, heads) for _ in range(layers)])
        self.ln_f, self.head = nn.LayerNorm(d), nn.Linear(d, vocab)

    def forward(self, idx):
        x = self.tok(idx) + self.pos(torch.arange(idx.shape[1]))
        return self.head(self.ln_f(self.blocks(x)))


model = TinyGPT(len(chars))
optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9)

for it in range(args.max_iters):
    model.train()
    optimizer.zero_grad(set_to_none=True)
    for micro_step in range(args.grad_accum):
        x, y = get_batch("train")
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        loss.backward()  # BUG: unscaled-accumulation
    optimizer.step()  # ALSO: unscaled-accumulation

    if (it + 1) % args.eval_interval == 0:
        model.eval()
        with torch.no_grad():
            val = sum(F.cross_entropy(model(x).flatten(0, 1), y.flatten()).item()
                      for x, y in (get_batch("val") for _ in range(10))) / 10
        print(f"iter {it + 1}: train loss {loss.item():.4f}, val loss {val:.4f}")
