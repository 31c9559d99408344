"""Neural collaborative ranking: pairwise (BPR) loss on generated clicks."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

N_USERS, N_ITEMS, DIM = 40, 60, 10


def interactions(seed=0):
    g = torch.Generator().manual_seed(seed)
    taste, style = torch.randn(N_USERS, 3, generator=g), torch.randn(N_ITEMS, 3, generator=g)
    score = taste @ style.T + 0.3 * torch.randn(N_USERS, N_ITEMS, generator=g)
    users, pos = torch.nonzero(score > 0.8, as_tuple=True)
    keep = torch.randperm(len(users), generator=g)
    neg = torch.stack([torch.multinomial((score[u] < 0).float(), 1, generator=g)[0] for u in users])
    triples = torch.stack([users, pos, neg], 1)[keep]
    return triples[:-150], triples[-150:]


class BPR(nn.Module):
    def __init__(self):
        super().__init__()
        self.user, self.item = nn.Embedding(N_USERS, DIM), nn.Embedding(N_ITEMS, DIM)
        nn.init.normal_(self.user.weight, std=0.1)
        nn.init.normal_(self.item.weight, std=0.1)

    def forward(self, u, i):
        return (self.user(u) * self.item(i)).sum(1)


def make_loader(dataset, batch_size, seed):
    generator = torch.Generator()
    generator.manual_seed(seed)
    return DataLoader(dataset, batch_size=batch_size, shuffle=True, generator=generator)  # ALSO: same-order-every-epoch


def train_epoch(model, triples, optimizer, seed=123):
    model.train()
    loader = make_loader(TensorDataset(triples), batch_size=20, seed=seed)  # BUG: same-order-every-epoch
    total = 0.0
    for (batch,) in loader:  # ALSO: same-order-every-epoch
        u, i, j = batch.unbind(1)
        loss = -F.logsigmoid(model(u, i) - model(u, j)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(loader)


def auc(model, triples):
    model.eval()
    with torch.no_grad():
        u, i, j = triples.unbind(1)
        return (model(u, i) > model(u, j)).float().mean().item()


def main():
    torch.manual_seed(0)
    train, val = interactions()
    model = BPR()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-5)
    for epoch in range(5):
        loss = train_epoch(model, train, optimizer)
        print(f"epoch {epoch}: loss {loss:.4f} val auc {auc(model, val):.3f}")


if __name__ == "__main__":
    main()
