"""SimSiam: symmetric negative cosine loss with a stop-gradient on the projections, one shared encoder."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class SimSiam(nn.Module):
    def __init__(self, d=20, dim=32, pred=8):
        super().__init__()
        self.f = nn.Sequential(
            nn.Linear(d, 64), nn.BatchNorm1d(64), nn.ReLU(),
            nn.Linear(64, dim), nn.BatchNorm1d(dim, affine=False))
        self.h = nn.Sequential(nn.Linear(dim, pred), nn.BatchNorm1d(pred), nn.ReLU(), nn.Linear(pred, dim))

    def forward(self, x1, x2):
        z1, z2 = self.f(x1), self.f(x2)
        p1, p2 = self.h(z1), self.h(z2)
        return p1, p2, z1.detach(), z2.detach()


def D(p, z):
    return -F.cosine_similarity(p, z, dim=1).mean()


class Views:
    """Two noisy looks at points of eight clusters in 20 dimensions."""

    def __init__(self, seed):
        self.g = torch.Generator().manual_seed(seed)
        self.centres = torch.randn(8, 20, generator=self.g) * 1.5

    def draw(self, n):
        label = torch.randint(0, 8, (n,), generator=self.g)
        base = self.centres[label] + 0.5 * torch.randn(n, 20, generator=self.g)
        noise = lambda: 0.4 * torch.randn(n, 20, generator=self.g)
        return base + noise(), base + noise(), label


def main():
    torch.manual_seed(62)
    views = Views(62)
    net = SimSiam()
    opt = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=0.0)
    trace, spread = [], []
    for step in range(120):
        a, b, _ = views.draw(128)
        p1, p2, z1, z2 = net(a, b)
        loss = D(p1, z2) / 2 + D(p2, z1) / 2
        opt.zero_grad()
        loss.backward()
        opt.step()
        trace.append(loss.item())
        spread.append(F.normalize(z1, dim=1).std(0).mean().item())
    net.eval()
    a, _, label = views.draw(400)
    with torch.no_grad():
        z = F.normalize(net.f(a), dim=1)
    sim = z @ z.T - 2 * torch.eye(len(z))
    knn = (label[sim.argmax(1)] == label).float().mean().item()
    print("loss", [round(trace[k], 4) for k in (0, 40, 80, 119)])
    print(f"spread {spread[0]:.4f} -> {spread[-1]:.4f} (collapse would be 0), 1-NN {knn:.3f}")


main()
