"""Soft-prompt tuning: one learnable prefix steers a frozen pre-trained transformer encoder to a second task."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(44)
VOCAB, LENGTH, DIM = 12, 6, 24


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok = nn.Embedding(VOCAB, DIM)
        self.pos = nn.Parameter(torch.randn(LENGTH, DIM) * 0.1)
        layer = nn.TransformerEncoderLayer(DIM, 2, 48, dropout=0.0, batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.cls = nn.Parameter(torch.randn(1, 1, DIM) * 0.1)
        self.out = nn.Linear(DIM, 2)

    def forward(self, ids, prompt=None):
        h = self.tok(ids) + self.pos
        parts = [self.cls.expand(len(ids), -1, -1), h]
        if prompt is not None:
            parts.insert(1, prompt.expand(len(ids), -1, -1))
        return self.out(self.body(torch.cat(parts, 1))[:, 0])


def batch(position):
    ids = torch.randint(0, VOCAB, (len(position), LENGTH))
    return ids, (ids.gather(1, position[:, None]).squeeze(1) >= VOCAB // 2).long()


# pre-training: each known task ("is the token at position p a high one?") has a prompt of its own
net = Encoder()
task_prompts = nn.Parameter(torch.randn(LENGTH, 2, DIM) * 0.5)
opt = torch.optim.Adam([*net.parameters(), task_prompts], lr=5e-3)
first = None
for step in range(240):
    position = torch.randint(0, LENGTH, (64,))
    ids, y = batch(position)
    loss = F.cross_entropy(net(ids, task_prompts[position]), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    first = loss.item() if first is None else first
pre = loss.item()

# a user arrives with examples of one task, and gets a prompt, not a model
net.requires_grad_(False)
prompt = nn.Parameter(torch.randn(1, 4, DIM) * 0.5)
opt = torch.optim.Adam([prompt], lr=5e-2)
curve = []
for step in range(100):
    ids, y = batch(torch.full((64,), 2))
    loss = F.cross_entropy(net(ids, prompt), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    curve.append(loss.item())
share = prompt.numel() / sum(p.numel() for p in net.parameters())
print(f"pre-training loss {first:.4f} -> {pre:.4f}; prompt is {100 * share:.2f}% of the weights")
print("prompt loss", [round(sum(curve[k:k + 10]) / 10, 4) for k in (0, 30, 60, 90)])
