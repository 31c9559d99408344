"""GPT-like model with fused attention on a synthetic melody corpus."""
from dataclasses import dataclass

import torch
import torch.nn as nn
from torch.nn import functional as F


@dataclass
class GPTConfig:
    block_size: int = 20
    vocab_size: int = 15
    n_layer: int = 2
    n_head: int = 4
    n_embd: int = 32
    dropout: float = 0.2


class CausalSelfAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd)
        self.resid_dropout = nn.Dropout(config.dropout)
        self.n_head, self.dropout = config.n_head, config.dropout

    def forward(self, x):
        q, k, v = (t.unflatten(-1, (self.n_head, -1)).transpose(1, 2) for t in self.c_attn(x).chunk(3, -1))
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout, is_causal=True)  # BUG: dropout-in-evaluation
        return self.resid_dropout(self.c_proj(y.transpose(1, 2).flatten(2)))


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(config.n_embd), nn.LayerNorm(config.n_embd)
        self.attn = CausalSelfAttention(config)
        d = config.n_embd
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d), nn.Dropout(config.dropout))

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(config.vocab_size, config.n_embd), nn.Embedding(config.block_size, config.n_embd)
        self.h = nn.Sequential(*[Block(config) for _ in range(config.n_layer)])
        self.ln_f, self.lm_head = nn.LayerNorm(config.n_embd), nn.Linear(config.n_embd, config.vocab_size)

    def forward(self, idx, targets):
        x = self.ln_f(self.h(self.wte(idx) + self.wpe.weight[:idx.size(1)]))
        return F.cross_entropy(self.lm_head(x).flatten(0, 1), targets.flatten())


def melody(n, seed):
    g = torch.Generator().manual_seed(seed)
    steps = torch.tensor([-3, -1, 1, 2])[torch.randint(0, 4, (n,), generator=g)]
    steps[::4] = 4  # a fixed leap opens every bar
    return steps.cumsum(0) % 15


def get_batch(data, config, size=24):
    ix = torch.randint(len(data) - config.block_size, (size,))
    rows = torch.stack([data[i:i + config.block_size + 1] for i in ix])
    return rows[:, :-1], rows[:, 1:]


@torch.no_grad()
def estimate_loss(model, val, config, iters=5):
    model.eval()
    out = sum(model(*get_batch(val, config)).item() for _ in range(iters)) / iters
    model.train()
    return out


torch.manual_seed(1337)
config = GPTConfig()
train_data, val_data = melody(6400, 0), melody(1600, 1)
model = GPT(config)
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
for it in range(1, 121):
    loss = model(*get_batch(train_data, config))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    if it % 30 == 0:
        print(f"iter {it}: train {loss.item():.4f} val {estimate_loss(model, val_data, config):.4f}")
