"""Character model whose most frequent symbol has id 0 (the blank): a real target, not padding."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

SENTENCES = ["to be or not to be", "all is well that ends well", "as you like it", "so it is to me", "be it as it is", "we few we happy few"]


class Windows(Dataset):
    def __init__(self, ids, block):
        self.ids, self.block = ids, block

    def __len__(self):
        return len(self.ids) - self.block

    def __getitem__(self, i):
        return self.ids[i:i + self.block], self.ids[i + 1:i + self.block + 1]


def build(n, seed):
    g = torch.Generator().manual_seed(seed)
    text = " ".join(SENTENCES[i] for i in torch.randint(0, len(SENTENCES), (n,), generator=g).tolist())
    letters = [" "] + sorted(set("".join(SENTENCES)) - {" "})
    return torch.tensor([letters.index(c) for c in text]), letters


class Conv(nn.Module):
    def __init__(self, v, d=32):
        super().__init__()
        self.emb = nn.Embedding(v, d)
        self.c1, self.c2, self.out = nn.Conv1d(d, d, 4), nn.Conv1d(d, d, 4, dilation=2), nn.Conv1d(d, v, 1)

    def forward(self, x):
        h = self.emb(x).transpose(1, 2)
        h = h + F.relu(self.c1(F.pad(h, (3, 0))))
        h = h + F.relu(self.c2(F.pad(h, (6, 0))))
        return self.out(h)                       # (N, C, T)


torch.manual_seed(55)
train_ids, letters = build(40, 1)
valid_ids, _ = build(12, 2)
train = DataLoader(Windows(train_ids, 16), batch_size=48, shuffle=True)
valid = DataLoader(Windows(valid_ids, 16), batch_size=64)
model = Conv(len(letters))
opt = torch.optim.Adam(model.parameters(), lr=5e-3)
for epoch in range(3):
    s = 0.0
    for x, y in train:
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        s += loss.item() / len(train)
    with torch.no_grad():
        v = sum(F.cross_entropy(model(x), y).item() for x, y in valid) / len(valid)
    print(f"epoch {epoch} train {s:.4f} valid {v:.4f}")
