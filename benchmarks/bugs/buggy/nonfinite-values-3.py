"""Sentence similarity with normalised word vectors; short sentences are padded with zero vectors."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

VOCAB, MAXLEN, PAD = 50, 10, 0


class SentencePairs(Dataset):
    def __init__(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        self.a, self.b = torch.zeros(n, MAXLEN, dtype=torch.long), torch.zeros(n, MAXLEN, dtype=torch.long)
        self.y = torch.randint(0, 2, (n,), generator=g).float()
        for i in range(n):
            k = int(torch.randint(4, MAXLEN + 1, (1,), generator=g))
            words = torch.randint(1, VOCAB, (k,), generator=g)
            other = torch.randint(1, VOCAB, (k,), generator=g)
            keep = torch.rand(k, generator=g) < 0.7
            self.a[i, :k] = words
            self.b[i, :k] = torch.where(keep, words, other) if self.y[i] else other

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return self.a[i], self.b[i], self.y[i]


class SimilarityNet(nn.Module):
    def __init__(self, d=16):
        super().__init__()
        self.emb = nn.Embedding(VOCAB, d, padding_idx=PAD)
        self.scale, self.bias = nn.Parameter(torch.tensor(5.0)), nn.Parameter(torch.tensor(-2.0))

    def vectors(self, ids):
        v = self.emb(ids)
        return v / v.norm(dim=-1, keepdim=True)  # BUG: nonfinite-values

    def forward(self, a, b):
        sim = self.vectors(a) @ self.vectors(b).transpose(1, 2)
        best = sim.max(dim=2).values                       # every word of a against the best of b
        real = (a != PAD).float()
        return self.scale * (best * real).sum(1) / real.sum(1) + self.bias


def main():
    torch.manual_seed(0)
    train_loader = DataLoader(SentencePairs(960, 0), batch_size=32, shuffle=True)
    val_loader = DataLoader(SentencePairs(200, 1), batch_size=100)
    model = SimilarityNet()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for epoch in range(4):
        model.train()
        for a, b, y in train_loader:
            loss = F.binary_cross_entropy_with_logits(model(a, b), y)
            optimizer.zero_grad()
            loss.backward()  # ALSO: nonfinite-values
            optimizer.step()
        model.eval()
        with torch.no_grad():
            acc = sum(((model(a, b) > 0) == (y > 0.5)).float().mean().item() for a, b, y in val_loader) / len(val_loader)
        print(f"epoch {epoch}: loss {loss.item():.4f} val acc {acc:.3f}")


if __name__ == "__main__":
    main()
