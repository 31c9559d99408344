"""Masked-token pretraining of a tiny transformer encoder with a linear warm-up."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)
VOCAB, LEN, MASK = 20, 16, 0
STEPS, WARMUP, BATCH = 140, 80, 32


def make_sequences(n, g):
    start = torch.randint(1, VOCAB, (n, 1), generator=g)
    stride = torch.randint(1, 4, (n, 1), generator=g)
    noise = torch.randint(0, 2, (n, LEN), generator=g)
    return (start + stride * torch.arange(LEN) + noise - 1) % (VOCAB - 1) + 1


class Encoder(nn.Module):
    def __init__(self, d=32):
        super().__init__()
        self.tok, self.pos = nn.Embedding(VOCAB, d), nn.Embedding(LEN, d)
        layer = nn.TransformerEncoderLayer(d, 4, 64, dropout=0.1, batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(d, VOCAB)

    def forward(self, x):
        return self.head(self.body(self.tok(x) + self.pos.weight))


def mlm_loss(model, ids):
    mask = torch.rand(ids.shape) < 0.2
    logits = model(ids.masked_fill(mask, MASK))
    return F.cross_entropy(logits[mask], ids[mask])


def warmup_then_constant(step):
    if step < WARMUP:
        return step // WARMUP
    return 1.0


g = torch.Generator().manual_seed(1)
train, val = make_sequences(2000, g), make_sequences(300, g)
model = Encoder()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, warmup_then_constant)  # ALSO: zero-learning-rate

for step in range(STEPS):
    model.train()
    batch = train[torch.randint(0, len(train), (BATCH,))]
    loss = mlm_loss(model, batch)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()  # BUG: zero-learning-rate
    scheduler.step()
    if (step + 1) % 20 == 0:
        model.eval()
        with torch.no_grad():
            v = mlm_loss(model, val).item()
        print(f"step {step + 1:4d} loss {loss.item():.4f} val {v:.4f}")
