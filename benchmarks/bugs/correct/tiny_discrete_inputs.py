"""Noisy majority vote over five bits: only 32 distinct inputs exist, so train and test rows coincide by nature."""
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset, random_split


def survey(n, flip, g):
    bits = torch.randint(0, 2, (n, 5), generator=g).float()
    vote = (bits.sum(1) > 2.5)
    noise = torch.rand(n, generator=g) < flip
    return bits * 2 - 1, (vote ^ noise).float()


def run():
    torch.manual_seed(140)
    g = torch.Generator().manual_seed(140)
    ds = TensorDataset(*survey(1500, 0.1, g))
    train, test = random_split(ds, [1200, 300], generator=g)
    loader = DataLoader(train, batch_size=60, shuffle=True, generator=g)
    x_test, y_test = next(iter(DataLoader(test, batch_size=300)))
    net = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0))
    opt = torch.optim.SGD(net.parameters(), lr=0.2, momentum=0.9)
    for epoch in range(5):
        net.train()
        total = 0.0
        for x, y in loader:
            loss = nn.functional.binary_cross_entropy_with_logits(net(x), y)
            opt.zero_grad()
            loss.backward()
            opt.step()
            total += loss.item() / len(loader)
        net.eval()
        with torch.no_grad():
            out = net(x_test)
            val = nn.functional.binary_cross_entropy_with_logits(out, y_test).item()
            acc = ((out > 0).float() == y_test).float().mean().item()
        print(f"epoch {epoch} train {total:.4f} test {val:.4f} acc {acc:.4f}")


run()
