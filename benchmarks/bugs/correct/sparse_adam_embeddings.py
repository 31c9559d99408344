"""Matrix factorisation with sparse embedding gradients under SparseAdam and dense biases under Adam."""
import torch
import torch.nn as nn


class MF(nn.Module):
    def __init__(self, users, items, k=8):
        super().__init__()
        self.user = nn.Embedding(users, k, sparse=True)
        self.item = nn.Embedding(items, k, sparse=True)
        nn.init.normal_(self.user.weight, std=0.3)
        nn.init.normal_(self.item.weight, std=0.3)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, u, i):
        return (self.user(u) * self.item(i)).sum(-1) + self.bias


def main():
    torch.manual_seed(31)
    users, items = 120, 80
    a, b = torch.randn(users, 3), torch.randn(items, 3)
    u = torch.randint(0, users, (4000,))
    i = torch.randint(0, items, (4000,))
    rating = (a[u] * b[i]).sum(-1) * 0.5 + 0.8
    model = MF(users, items)
    sparse = torch.optim.SparseAdam([model.user.weight, model.item.weight], lr=2e-2)
    dense = torch.optim.Adam([model.bias], lr=2e-2)
    curve = []
    for epoch in range(6):
        s = 0.0
        for idx in torch.randperm(3600).split(120):
            loss = ((model(u[idx], i[idx]) - rating[idx]) ** 2).mean()
            sparse.zero_grad()
            dense.zero_grad()
            loss.backward()
            sparse.step()
            dense.step()
            s += loss.item() / 30
        curve.append(s)
    with torch.no_grad():
        test = ((model(u[3600:], i[3600:]) - rating[3600:]) ** 2).mean().item()
    print("train mse", [round(c, 4) for c in curve])
    print(f"test mse {test:.4f}; gradient is sparse: {model.user.weight.grad.is_sparse}")


main()
