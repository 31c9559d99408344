"""Small GPT on a toy language with AdamW and separate weight-decay groups."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)
VOCAB, CTX, DIM = 28, 16, 32


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1 = nn.LayerNorm(DIM)
        self.attn = nn.MultiheadAttention(DIM, 4, batch_first=True)
        self.ln_2 = nn.LayerNorm(DIM)
        self.fc = nn.Linear(DIM, 4 * DIM)
        self.proj = nn.Linear(4 * DIM, DIM)

    def forward(self, x, mask):
        h = self.ln_1(x)
        x = x + self.attn(h, h, h, attn_mask=mask, need_weights=False)[0]
        return x + self.proj(F.gelu(self.fc(self.ln_2(x))))


class GPT(nn.Module):
    def __init__(self, layers=2):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(VOCAB, DIM), nn.Embedding(CTX, DIM)
        self.h = nn.ModuleList(Block() for _ in range(layers))
        self.ln_f = nn.LayerNorm(DIM)
        self.lm_head = nn.Linear(DIM, VOCAB, bias=False)
        self.register_buffer("mask", torch.ones(CTX, CTX).triu(1).bool())

    def forward(self, idx, targets):
        T = idx.size(1)
        x = self.wte(idx) + self.wpe.weight[:T]
        for block in self.h:
            x = block(x, self.mask[:T, :T])
        logits = self.lm_head(self.ln_f(x))
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def configure_optimizer(model, weight_decay, lr):
    no_decay = ["bias", "LayerNorm.weight"]
    decay_params = [p for n, p in model.named_parameters() if not any(nd in n for nd in no_decay)]
    other_params = [p for n, p in model.named_parameters() if any(nd in n for nd in no_decay)]
    groups = [
        {"params": decay_params, "weight_decay": weight_decay},  # ALSO: decayed-norms
        {"params": other_params, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95))  # BUG: decayed-norms


def corpus(n, seed):
    g = torch.Generator().manual_seed(seed)
    table = torch.randint(0, VOCAB, (VOCAB, 3), generator=torch.Generator().manual_seed(77))
    ids = [0]
    for pick in torch.randint(0, 3, (n,), generator=g).tolist():
        ids.append(int(table[ids[-1], pick]) if len(ids) % 7 else (ids[-1] * 3 + 1) % VOCAB)
    return torch.tensor(ids)


def batch(data, size=24):
    ix = torch.randint(0, len(data) - CTX - 1, (size,))
    return torch.stack([data[i:i + CTX] for i in ix]), torch.stack([data[i + 1:i + CTX + 1] for i in ix])


train_ids, val_ids = corpus(6000, 0), corpus(1200, 1)
model = GPT()
optimizer = configure_optimizer(model, weight_decay=0.1, lr=3e-3)
for step in range(1, 101):
    model.train()
    loss = model(*batch(train_ids))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if step % 25 == 0:
        model.eval()
        with torch.no_grad():
            print(f"step {step}: train {loss.item():.3f} val {model(*batch(val_ids, 100)).item():.3f}")
