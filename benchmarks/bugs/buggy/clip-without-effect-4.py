"""Neural machine translation in miniature: GRU with attention maps number strings to shifted ones."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)
BASE, LEN, BOS = 12, 7, 12
CLIP = 0.5


def pairs(n):
    src = torch.randint(0, BASE, (n, LEN))
    return src, (src.roll(1, dims=1) + 1) % BASE


class AttnSeq2Seq(nn.Module):
    def __init__(self, d=32):
        super().__init__()
        self.src, self.tgt = nn.Embedding(BASE, d), nn.Embedding(BASE + 1, d)
        self.pos = nn.Parameter(torch.randn(LEN, d) * 0.1)
        self.enc = nn.GRU(d, d, batch_first=True)
        self.dec = nn.GRU(d, d, batch_first=True)
        self.query = nn.Linear(d, d)
        self.out = nn.Linear(2 * d, BASE)

    def forward(self, src, tgt_in):
        memory, h = self.enc(self.src(src) + self.pos)
        states, _ = self.dec(self.tgt(tgt_in) + self.pos, h)
        weights = torch.softmax(self.query(states) @ memory.transpose(1, 2), dim=-1)
        return self.out(torch.cat([states, weights @ memory], dim=-1))


model = AttnSeq2Seq()
trainable = filter(lambda p: p.requires_grad, model.parameters())  # ALSO: clip-without-effect
optimizer = torch.optim.SGD(trainable, lr=0.5, momentum=0.9)
train_src, train_tgt = pairs(1600)
val_src, val_tgt = pairs(200)


def loss_of(src, tgt):
    tgt_in = torch.cat([torch.full((len(src), 1), BOS), tgt[:, :-1]], dim=1)
    return F.cross_entropy(model(src, tgt_in).flatten(0, 1), tgt.flatten())


for epoch in range(4):
    model.train()
    for idx in torch.randperm(len(train_src)).split(40):
        optimizer.zero_grad()
        loss = loss_of(train_src[idx], train_tgt[idx])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainable, CLIP)  # BUG: clip-without-effect
        optimizer.step()
    model.eval()
    with torch.no_grad():
        val = loss_of(val_src, val_tgt).item()
    print(f"epoch {epoch}: train {loss.item():.4f} val {val:.4f}")
