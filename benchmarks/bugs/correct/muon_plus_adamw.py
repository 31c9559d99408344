"""Matrices go to Muon and the rest to fused AdamW; both step after one backward and share one schedule factor."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class Mixer(nn.Module):
    def __init__(self, n=6, d=24, vocab=10):
        super().__init__()
        self.embed = nn.Embedding(vocab, d)
        self.token = nn.Linear(n, n)
        self.channel = nn.Sequential(nn.LayerNorm(d), nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d))
        self.head = nn.Linear(d, vocab)

    def forward(self, ids):
        h = self.embed(ids)
        h = h + self.token(h.transpose(1, 2)).transpose(1, 2)
        return self.head(h + self.channel(h))


def reverse_task(n, g):
    ids = torch.randint(0, 10, (n, 6), generator=g)
    return ids, ids.flip(1)


torch.manual_seed(179)
g = torch.Generator().manual_seed(179)
net = Mixer()
hidden = [p for n, p in net.named_parameters() if p.ndim == 2 and not n.startswith(("embed", "head"))]
chosen = {id(p) for p in hidden}
other = [p for p in net.parameters() if id(p) not in chosen]
muon = torch.optim.Muon(hidden, lr=0.02, weight_decay=0.0)
adamw = torch.optim.AdamW(other, lr=1e-2, weight_decay=0.0, fused=True)
schedules = [torch.optim.lr_scheduler.LambdaLR(o, lambda s: max(0.05, 1 - s / 150)) for o in (muon, adamw)]
trace = []
for step in range(150):
    ids, want = reverse_task(48, g)
    loss = F.cross_entropy(net(ids).flatten(0, 1), want.flatten())
    for o in (muon, adamw):
        o.zero_grad()
    loss.backward()
    for o in (muon, adamw):
        o.step()
    for s in schedules:
        s.step()
    trace.append(loss.item())
ids, want = reverse_task(200, g)
with torch.no_grad():
    acc = (net(ids).argmax(-1) == want).float().mean().item()
print("loss", [round(trace[k], 4) for k in (0, 50, 100, 149)], "accuracy", round(acc, 4))
