"""Two-tower text matcher (bag of words) with a trainer that keeps optimizer and scheduler."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


class Tower(nn.Module):
    def __init__(self, vocab, d=24):
        super().__init__()
        self.bag = nn.EmbeddingBag(vocab, d, mode="mean")
        self.mlp = nn.Sequential(nn.Linear(d, 32), nn.ReLU(), nn.Linear(32, d))

    def forward(self, ids):
        return F.normalize(self.mlp(self.bag(ids)), dim=1)


class Matcher(nn.Module):
    def __init__(self, vocab):
        super().__init__()
        self.query, self.doc = Tower(vocab), Tower(vocab)

    def forward(self, q, d):
        return self.query(q) @ self.doc(d).T / 0.1


class MatcherTrainer:
    def __init__(self, model, train_set, val_set, lr=5e-3, epochs=8):
        self.model = model
        self.epochs = epochs
        self.train_loader = DataLoader(train_set, batch_size=48, shuffle=True, drop_last=True)
        self.val_loader = DataLoader(val_set, batch_size=48, drop_last=True)
        self.optimizer = torch.optim.Adam(model.parameters(), lr=lr)
        self.scheduler = torch.optim.lr_scheduler.MultiStepLR(  # BUG: idle-scheduler
            self.optimizer, milestones=[3, 6], gamma=0.1)

    def contrastive(self, q, d):
        return F.cross_entropy(self.model(q, d), torch.arange(len(q)))

    def train_epoch(self):
        self.model.train()
        total = 0.0
        for q, d in self.train_loader:
            loss = self.contrastive(q, d)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item()
        return total / len(self.train_loader)

    @torch.no_grad()
    def recall_at_1(self):
        self.model.eval()
        hits = [(self.model(q, d).argmax(1) == torch.arange(len(q))).float().mean() for q, d in self.val_loader]
        return torch.stack(hits).mean().item()

    def train(self):
        for epoch in range(1, self.epochs + 1):
            loss = self.train_epoch()
            lr = self.optimizer.param_groups[0]["lr"]
            print(f"epoch {epoch}: loss {loss:.4f} recall@1 {self.recall_at_1():.3f} lr {lr:.0e}")


def pairs(n, vocab=80, length=10):
    """a document is the query with half of the words replaced by synonyms (id + 40)"""
    q = torch.randint(0, vocab // 2, (n, length))
    swap = torch.rand(n, length) < 0.5
    return TensorDataset(q, torch.where(swap, q + vocab // 2, q))


if __name__ == "__main__":
    torch.manual_seed(0)
    MatcherTrainer(Matcher(80), pairs(960), pairs(240)).train()
