"""Two task losses over a shared trunk, two backwards with retain_graph, one step; weighted by learned uncertainties."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(6, 48), nn.SiLU(), nn.Linear(48, 48), nn.SiLU())
        self.reg, self.cls = nn.Linear(48, 1), nn.Linear(48, 3)
        self.log_var = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        h = self.trunk(x)
        return self.reg(h).squeeze(-1), self.cls(h)


def make(n, g):
    x = torch.randn(n, 6, generator=g)
    value = torch.sin(x[:, 0]) + x[:, 1] ** 2 * 0.3
    label = torch.bucketize(x[:, 2] + x[:, 3], torch.tensor([-0.7, 0.7]))
    return x, value, label


def main():
    torch.manual_seed(92)
    g = torch.Generator().manual_seed(92)
    net = Shared()
    opt = torch.optim.Adam(net.parameters(), lr=5e-3)
    xv, vv, lv = make(300, g)
    track = []
    for step in range(120):
        x, value, label = make(64, g)
        pred, logits = net(x)
        loss_r = F.mse_loss(pred, value)
        loss_c = F.cross_entropy(logits, label)
        opt.zero_grad()
        (loss_r * torch.exp(-net.log_var[0]) + net.log_var[0]).backward(retain_graph=True)
        (loss_c * torch.exp(-net.log_var[1]) + net.log_var[1]).backward()
        opt.step()
        track.append((loss_r.item(), loss_c.item()))
    net.eval()
    with torch.no_grad():
        pred, logits = net(xv)
    print("regression", [round(track[k][0], 4) for k in (0, 60, 119)], "valid", round(F.mse_loss(pred, vv).item(), 4))
    print("classification", [round(track[k][1], 4) for k in (0, 60, 119)], "valid", round(F.cross_entropy(logits, lv).item(), 4))


main()
