"""Graph convolution on a stochastic block model: node classification with a Trainer class."""
import torch
import torch.nn as nn
import torch.nn.functional as F


def block_model(n_per=60, k=4, p_in=0.15, p_out=0.02, seed=0):
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(k).repeat_interleave(n_per)
    prob = torch.where(y[:, None] == y[None, :], p_in, p_out)
    upper = torch.triu(torch.rand(len(y), len(y), generator=g) < prob, diagonal=1).float()
    adj = upper + upper.T + torch.eye(len(y))
    d = adj.sum(1).rsqrt()
    x = torch.randn(len(y), 16, generator=g) + F.one_hot(y, 16).float()
    return x, d[:, None] * adj * d[None, :], y


class GCN(nn.Module):
    def __init__(self, d_in, hidden, classes, dropout=0.3):
        super().__init__()
        self.lin1, self.lin2 = nn.Linear(d_in, hidden), nn.Linear(hidden, classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, adj):
        h = F.relu(adj @ self.lin1(self.dropout(x)))
        return adj @ self.lin2(self.dropout(h))


class NodeTrainer:
    def __init__(self, model, data, max_grad_norm=0.5):
        self.model = model
        self.x, self.adj, self.y = data
        self.max_grad_norm = max_grad_norm
        perm = torch.randperm(len(self.y))
        self.train_idx, self.val_idx = perm[:120], perm[120:]
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=5e-4)

    def step(self):
        self.model.train()
        self.optimizer.zero_grad()
        out = self.model(self.x, self.adj)
        loss = F.cross_entropy(out[self.train_idx], self.y[self.train_idx])
        nn.utils.clip_grad_norm_(self.model.parameters(), self.max_grad_norm)  # BUG: clip-without-effect
        loss.backward()
        self.optimizer.step()
        return loss.item()

    @torch.no_grad()
    def validate(self):
        self.model.eval()
        pred = self.model(self.x, self.adj)[self.val_idx].argmax(1)
        return (pred == self.y[self.val_idx]).float().mean().item()

    def fit(self, epochs):
        for epoch in range(1, epochs + 1):
            loss = self.step()
            if epoch % 20 == 0:
                print(f"epoch {epoch:3d} loss {loss:.4f} val acc {self.validate():.3f}")


torch.manual_seed(0)
NodeTrainer(GCN(16, 32, 4), block_model()).fit(100)
