"""Half-precision attention classifier over padded token sequences (AMP)."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

PAD, VOCAB, MAXLEN, CLASSES = 0, 30, 10, 3


class TokenSets(Dataset):
    def __init__(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        self.y = torch.randint(0, CLASSES, (n,), generator=g)
        self.x = torch.full((n, MAXLEN), PAD)
        for i in range(n):
            length = int(torch.randint(5, MAXLEN, (1,), generator=g))
            lo = 1 + 8 * int(self.y[i])
            self.x[i, :length] = torch.randint(lo, lo + 13, (length,), generator=g)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


class SelfAttention(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(d, d), nn.Linear(d, d), nn.Linear(d, d)

    def forward(self, x, keep):
        scores = self.q(x) @ self.k(x).transpose(1, 2) / x.size(-1) ** 0.5
        mask = keep[:, :, None] & keep[:, None, :]
        scores = scores.masked_fill(~mask, float("-inf"))  # ALSO: skipped-steps
        return torch.softmax(scores, dim=-1) @ self.v(x)  # ALSO: skipped-steps


class Classifier(nn.Module):
    def __init__(self, d=24):
        super().__init__()
        self.emb = nn.Embedding(VOCAB, d, padding_idx=PAD)
        self.attn, self.norm, self.head = SelfAttention(d), nn.LayerNorm(d), nn.Linear(d, CLASSES)

    def forward(self, ids):
        keep = ids != PAD
        x = self.emb(ids)
        x = self.norm(x + self.attn(x, keep))
        pooled = x.masked_fill(~keep.unsqueeze(-1), 0).sum(1) / keep.sum(1, keepdim=True)
        return self.head(pooled)


def main():
    torch.manual_seed(0)
    train_dl = DataLoader(TokenSets(960, 0), batch_size=32, shuffle=True)
    val_dl = DataLoader(TokenSets(240, 1), batch_size=120)
    model = Classifier()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for epoch in range(4):
        model.train()
        for ids, y in train_dl:
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(model(ids), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)  # BUG: skipped-steps
            scaler.update()
        model.eval()
        with torch.no_grad():
            acc = sum((model(ids).argmax(1) == y).float().mean().item() for ids, y in val_dl) / len(val_dl)
        print(f"epoch {epoch}: loss {loss.item():.4f} val acc {acc:.3f}")


if __name__ == "__main__":
    main()
