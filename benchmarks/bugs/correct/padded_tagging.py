"""Sequence tagger on padded, packed batches; padding is left out of the loss by ignore_index."""
import torch
import torch.nn as nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader, Dataset


class Numbers(Dataset):
    """Tag each number by whether it is larger than the one before (0 = first, 1 = up, 2 = down or equal)."""

    def __init__(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        self.rows = []
        for _ in range(n):
            length = int(torch.randint(3, 15, (1,), generator=g))
            x = torch.randint(1, 21, (length,), generator=g)
            y = torch.zeros(length, dtype=torch.long)
            y[1:] = torch.where(x[1:] > x[:-1], 1, 2)
            self.rows.append((x, y))

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows[i]


def collate(batch):
    xs, ys = zip(*batch)
    return pad_sequence(xs, True, 0), pad_sequence(ys, True, -100), torch.tensor([len(x) for x in xs])


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(21, 16, padding_idx=0)
        self.rnn = nn.LSTM(16, 24, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(48, 3)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(self.emb(x), lengths, batch_first=True, enforce_sorted=False)
        h, _ = pad_packed_sequence(self.rnn(packed)[0], batch_first=True)
        return self.fc(h)


torch.manual_seed(53)
train = DataLoader(Numbers(300, 1), batch_size=30, shuffle=True, collate_fn=collate)
valid = DataLoader(Numbers(60, 2), batch_size=60, collate_fn=collate)
net = Tagger()
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
loss_fn = nn.CrossEntropyLoss(ignore_index=-100)
for epoch in range(6):
    s = 0.0
    for x, y, n in train:
        opt.zero_grad()
        loss = loss_fn(net(x, n).transpose(1, 2), y)     # (N, C, T) against (N, T)
        loss.backward()
        opt.step()
        s += loss.item() / len(train)
    with torch.no_grad():
        x, y, n = next(iter(valid))
        hit = (net(x, n).argmax(-1) == y)[y != -100].float().mean().item()
    print(f"epoch {epoch}: loss {s:.4f} token accuracy {hit:.4f}")
