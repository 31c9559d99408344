"""GPT with tied input and output embeddings on a toy code-completion corpus."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)
VOCAB, CTX, D = 48, 16, 64


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(D), nn.LayerNorm(D)
        self.qkv, self.proj = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.ff = nn.Sequential(nn.Linear(D, 2 * D), nn.GELU(), nn.Linear(2 * D, D))

    def forward(self, x):
        B, T, _ = x.shape
        q, k, v = (t.view(B, T, 4, D // 4).transpose(1, 2) for t in self.qkv(self.n1(x)).chunk(3, dim=-1))
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(a.transpose(1, 2).reshape(B, T, D))
        return x + self.ff(self.n2(x))


class TiedGPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(VOCAB, D)  # ALSO: surprising-initial-loss
        self.wpe = nn.Embedding(CTX, D)
        self.blocks = nn.Sequential(Block(), Block())
        self.ln_f = nn.LayerNorm(D)
        self.lm_head = nn.Linear(D, VOCAB, bias=False)
        self.lm_head.weight = self.wte.weight  # ALSO: surprising-initial-loss

    def forward(self, idx, targets):
        x = self.wte(idx) + self.wpe.weight[:idx.size(1)]
        logits = self.lm_head(self.ln_f(self.blocks(x)))
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())  # BUG: surprising-initial-loss


def snippets(n, seed):
    g = torch.Generator().manual_seed(seed)
    rule = torch.randint(0, VOCAB, (VOCAB, 4), generator=torch.Generator().manual_seed(5))
    ids = [1]
    for c in torch.randint(0, 4, (n,), generator=g).tolist():
        ids.append(int(rule[ids[-1], c]))
    return torch.tensor(ids)


def get_batch(ids, size=24):
    ix = torch.randint(0, len(ids) - CTX - 1, (size,))
    return torch.stack([ids[i:i + CTX] for i in ix]), torch.stack([ids[i + 1:i + CTX + 1] for i in ix])


train_ids, val_ids = snippets(8000, 0), snippets(1500, 1)
model = TiedGPT()
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.95))
for step in range(121):
    model.train()
    loss = model(*get_batch(train_ids))  # ALSO: surprising-initial-loss
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if step % 30 == 0:
        model.eval()
        with torch.no_grad():
            print(f"step {step}: train {loss.item():.3f} val {model(*get_batch(val_ids, 100)).item():.3f}")
