"""Graph convolution, transductive: each update passes the whole graph; masks choose the nodes for loss and test."""
import torch
import torch.nn as nn
import torch.nn.functional as F


def block_graph(n, classes, p_in, p_out, g):
    y = torch.arange(n) % classes
    prob = torch.where(y[:, None] == y[None, :], p_in, p_out)
    upper = torch.triu(torch.rand(n, n, generator=g) < prob, 1)
    a = (upper | upper.T).float() + torch.eye(n)
    d = a.sum(1).rsqrt()
    x = F.one_hot(y, classes).float() @ torch.randn(classes, 8, generator=g) + 2.0 * torch.randn(n, 8, generator=g)
    return d[:, None] * a * d[None, :], x, y


class GCN(nn.Module):
    def __init__(self, i, h, o):
        super().__init__()
        self.w1, self.w2, self.drop = nn.Linear(i, h), nn.Linear(h, o), nn.Dropout(0.3)

    def forward(self, a, x):
        h = torch.relu(a @ self.w1(x))
        return a @ self.w2(self.drop(h))


torch.manual_seed(135)
g = torch.Generator().manual_seed(135)
A, X, y = block_graph(240, 4, 0.12, 0.02, g)
X = (X - X.mean(0)) / X.std(0)
order = torch.randperm(240, generator=g)
train_mask = torch.zeros(240, dtype=torch.bool).index_fill(0, order[:60], True)
test_mask = ~train_mask
net = GCN(8, 24, 4)
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
for epoch in range(61):
    net.train()
    opt.zero_grad()
    loss = F.cross_entropy(net(A, X)[train_mask], y[train_mask])
    loss.backward()
    opt.step()
    if epoch % 20 == 0:
        net.eval()
        with torch.no_grad():
            acc = (net(A, X).argmax(1) == y)[test_mask].float().mean().item()
        print(f"epoch {epoch} loss {loss.item():.4f} test accuracy {acc:.4f}")
