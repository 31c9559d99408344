"""Encoder-decoder that reverses digit strings; scheduled teacher forcing, so the graph's shape differs between updates."""
import random

import torch
import torch.nn as nn

# %% [markdown]
# ## Data: strings of three to six digits, reversed

# %%
random.seed(192)
torch.manual_seed(192)
PAD, SOS, EOS, BASE = 0, 1, 2, 3


def batch(n):
    length = random.randint(3, 6)
    x = torch.randint(BASE, BASE + 8, (n, length))
    y = torch.cat([x.flip(1), torch.full((n, 1), EOS)], 1)
    return x, y


# %%
class Seq2Seq(nn.Module):
    def __init__(self, vocab=BASE + 8, d=48):
        super().__init__()
        self.emb = nn.Embedding(vocab, d, padding_idx=PAD)
        self.enc, self.dec = nn.GRU(d, d, batch_first=True), nn.GRUCell(2 * d, d)
        self.query, self.out = nn.Linear(d, d), nn.Linear(2 * d, vocab)

    def forward(self, x, y, force):
        memory, h = self.enc(self.emb(x))
        h = h[0]
        token = torch.full((len(x),), SOS)
        context, logits = torch.zeros_like(h), []
        for t in range(y.shape[1]):
            h = self.dec(torch.cat([self.emb(token), context], 1), h)
            score = torch.bmm(memory, self.query(h).unsqueeze(2)).squeeze(2)
            context = torch.bmm(score.softmax(1).unsqueeze(1), memory).squeeze(1)
            step = self.out(torch.cat([h, context], 1))
            logits.append(step)
            token = y[:, t] if random.random() < force else step.argmax(1)
        return torch.stack(logits, 1)


# %%
net = Seq2Seq()
opt = torch.optim.Adam(net.parameters(), lr=6e-3)
criterion = nn.CrossEntropyLoss(ignore_index=PAD)
log = []
for step in range(180):
    x, y = batch(48)
    loss = criterion(net(x, y, force=max(0.4, 1 - step / 150)).flatten(0, 1), y.flatten())
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    opt.step()
    log.append(loss.item())

# %%
with torch.no_grad():
    x, y = batch(200)
    exact = (net(x, y, force=0.0).argmax(-1) == y).all(1).float().mean().item()
print("loss", [round(sum(log[k:k + 10]) / 10, 4) for k in (0, 80, 170)], "exact without forcing", round(exact, 3))
