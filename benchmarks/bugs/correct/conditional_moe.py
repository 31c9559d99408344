"""Top-1 mixture of experts: an expert that no token chose gets no gradient in that update."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class Expert(nn.Sequential):
    def __init__(self, d, h):
        super().__init__(nn.Linear(d, h), nn.GELU(), nn.Linear(h, 1))


class Switch(nn.Module):
    def __init__(self, d, experts=6, h=16):
        super().__init__()
        self.router = nn.Linear(d, experts)
        self.experts = nn.ModuleList(Expert(d, h) for _ in range(experts))

    def forward(self, x):
        prob = self.router(x).softmax(-1)
        gate, index = prob.max(-1)
        out = x.new_zeros(len(x), 1)
        for k in index.unique().tolist():
            rows = (index == k).nonzero().squeeze(1)
            out = out.index_add(0, rows, gate[rows, None] * self.experts[k](x[rows]))
        share = F.one_hot(index, len(self.experts)).float().mean(0)
        balance = len(self.experts) * (share * prob.mean(0)).sum()
        return out.squeeze(1), balance, index


def target(x):
    return torch.where(x[:, 0] > 0, torch.sin(2 * x[:, 1]), x[:, 1] * x[:, 2])


def main():
    torch.manual_seed(90)
    net = Switch(4)
    opt = torch.optim.AdamW(net.parameters(), lr=1e-2, weight_decay=0.0)
    log, idle = [], 0
    for step in range(150):
        x = torch.randn(16, 4)                 # few tokens, so that experts sit out
        pred, balance, index = net(x)
        loss = F.mse_loss(pred, target(x))
        opt.zero_grad()
        (loss + 0.01 * balance).backward()
        idle += sum(e[0].weight.grad is None for e in net.experts)
        opt.step()
        log.append(loss.item())
    x = torch.randn(500, 4)
    with torch.no_grad():
        err = F.mse_loss(net(x)[0], target(x)).item()
    print("loss", [round(sum(log[k:k + 15]) / 15, 4) for k in (0, 60, 135)], "valid", round(err, 4))
    print("expert-updates without a gradient:", idle)


main()
