"""Matrix-factorisation recommender trained on synthetic ratings, with gradient accumulation."""
import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class MatrixFactorization(nn.Module):
    def __init__(self, n_users, n_items, dim):
        super().__init__()
        self.user = nn.Embedding(n_users, dim)
        self.item = nn.Embedding(n_items, dim)
        self.user_bias = nn.Embedding(n_users, 1)
        self.item_bias = nn.Embedding(n_items, 1)
        for e in (self.user, self.item):
            nn.init.normal_(e.weight, std=0.3)
        for e in (self.user_bias, self.item_bias):
            nn.init.zeros_(e.weight)

    def forward(self, u, i):
        dot = (self.user(u) * self.item(i)).sum(1)
        return dot + self.user_bias(u).squeeze(1) + self.item_bias(i).squeeze(1)


def make_ratings(n_users, n_items, n, g):
    pu, qi = torch.randn(n_users, 4, generator=g), torch.randn(n_items, 4, generator=g)
    cells = torch.randperm(n_users * n_items, generator=g)[:n]
    u, i = cells // n_items, cells % n_items
    r = (pu[u] * qi[i]).sum(1) / 2 + 0.1 * torch.randn(n, generator=g)
    return TensorDataset(u, i, r)


def main(args):
    torch.manual_seed(args.seed)
    ratings = make_ratings(args.users, args.items, 4200, torch.Generator().manual_seed(9))
    train_set, val_set = torch.utils.data.random_split(ratings, [3400, 800])
    train_loader = DataLoader(train_set, args.batch_size, shuffle=True)
    val_loader = DataLoader(val_set, 400)
    model = MatrixFactorization(args.users, args.items, args.dim)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    criterion = nn.MSELoss()

    optimizer.zero_grad()
    for epoch in range(args.epochs):
        model.train()
        for step, (u, i, r) in enumerate(train_loader):
            loss = criterion(model(u, i), r)
            (loss / args.accum).backward()
            if (step + 1) % args.accum == 0:  # ALSO: leftover-accumulation
                optimizer.step()  # BUG: leftover-accumulation
                optimizer.zero_grad()
        model.eval()
        with torch.no_grad():
            se = sum(((model(u, i) - r) ** 2).sum().item() for u, i, r in val_loader)
        print(f"epoch {epoch + 1}: val rmse {(se / len(val_set)) ** 0.5:.4f}")


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("--users", type=int, default=60)
    ap.add_argument("--items", type=int, default=80)
    ap.add_argument("--dim", type=int, default=6)
    ap.add_argument("--batch-size", type=int, default=40)
    ap.add_argument("--accum", type=int, default=8)
    ap.add_argument("--epochs", type=int, default=12)
    ap.add_argument("--lr", type=float, default=2e-2)
    ap.add_argument("--seed", type=int, default=0)
    main(ap.parse_args())
