"""Categorical latent codes with the straight-through Gumbel softmax and an annealed temperature; softmax in the model."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(183)
K, GROUPS = 6, 2
patterns = torch.randn(GROUPS, K, 12)


def data(n):
    pick = torch.randint(0, K, (n, GROUPS))
    clean = sum(patterns[g][pick[:, g]] for g in range(GROUPS))
    return clean + 0.1 * torch.randn(n, 12)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(12, 64), nn.ReLU(), nn.Linear(64, GROUPS * K))
        self.dec = nn.Linear(GROUPS * K, 12)

    def forward(self, x, tau):
        logits = self.enc(x).view(-1, GROUPS, K)
        code = F.gumbel_softmax(logits, tau=tau, hard=True) if self.training else F.one_hot(logits.argmax(-1), K).float()
        prob = logits.softmax(-1)
        kl = (prob * (prob.clamp_min(1e-8).log() + torch.log(torch.tensor(float(K))))).sum(-1).mean()
        return self.dec(code.flatten(1)), kl


net = Model()
opt = torch.optim.Adam(net.parameters(), lr=5e-3)
valid = data(300)
trace = []
for step in range(300):
    net.train()
    x = data(96)
    tau = max(0.4, 1.5 * 0.99 ** step)
    out, kl = net(x, tau)
    rec = (out - x).pow(2).sum(1).mean()
    opt.zero_grad()
    (rec + 0.05 * kl).backward()
    opt.step()
    trace.append(rec.item())
net.eval()
with torch.no_grad():
    v = (net(valid, 1.0)[0] - valid).pow(2).sum(1).mean().item()
print("reconstruction", [round(sum(trace[k:k + 20]) / 20, 3) for k in (0, 100, 200, 280)], "valid", round(v, 3))
