"""Top-k sparse autoencoder: most code units are zero for a given input by design; decoder columns are re-normalised."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class TopK(nn.Module):
    def __init__(self, d, codes, k):
        super().__init__()
        self.k = k
        self.bias = nn.Parameter(torch.zeros(d))
        self.dec = nn.Parameter(F.normalize(torch.randn(codes, d), dim=1))
        self.enc = nn.Parameter(self.dec.detach().t().clone())

    def forward(self, x):
        pre = torch.relu((x - self.bias) @ self.enc)
        values, index = pre.topk(self.k, dim=-1)
        code = torch.zeros_like(pre).scatter(-1, index, values)
        return code @ self.dec + self.bias, code

    @torch.no_grad()
    def normalise(self):
        self.dec.div_(self.dec.norm(dim=1, keepdim=True))


torch.manual_seed(143)
dictionary = F.normalize(torch.randn(24, 16), dim=1)


def data(n):
    code = torch.zeros(n, 24)
    code.scatter_(1, torch.rand(n, 24).topk(2, dim=1).indices, torch.rand(n, 2) + 0.5)
    return code @ dictionary


net = TopK(16, 96, 4)
opt = torch.optim.Adam(net.parameters(), lr=5e-3)
valid = data(400)
trace = []
for step in range(200):
    x = data(128)
    out, code = net(x)
    loss = (out - x).pow(2).sum(-1).mean()
    opt.zero_grad()
    loss.backward()
    with torch.no_grad():                    # keep the gradient tangent to the unit sphere
        net.dec.grad -= (net.dec.grad * net.dec).sum(1, keepdim=True) * net.dec
    opt.step()
    net.normalise()
    trace.append(loss.item())
with torch.no_grad():
    out, code = net(valid)
print("loss", [round(trace[k], 4) for k in (0, 60, 120, 199)], "valid", round((out - valid).pow(2).sum(-1).mean().item(), 4))
print(f"zeros in the code {100 * (code == 0).float().mean().item():.1f} %, units never used {(code.sum(0) == 0).sum().item()}")
