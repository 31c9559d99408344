"""Sentence-order classifier: embeddings, dropout and a GRU; early look at the validation accuracy."""
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
VOCAB, LEN = 24, 10


def ordered(n):
    x = torch.randint(0, VOCAB - 2, (n, LEN))
    y = torch.randint(0, 2, (n,))
    spots = torch.stack([torch.randperm(LEN)[:2].sort().values for _ in range(n)])
    first, second = torch.where(y == 0, VOCAB - 2, VOCAB - 1), torch.where(y == 0, VOCAB - 1, VOCAB - 2)
    x[torch.arange(n), spots[:, 0]] = first
    x[torch.arange(n), spots[:, 1]] = second
    return TensorDataset(x, y)


class OrderNet(nn.Module):
    def __init__(self, d=24):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, d)
        self.drop = nn.Dropout(0.3)
        self.gru = nn.GRU(d, 32, batch_first=True)
        self.fc = nn.Linear(32, 2)

    def forward(self, x):
        _, h = self.gru(self.drop(self.embed(x)))
        return self.fc(self.drop(h[-1]))


train_loader = DataLoader(ordered(1120), batch_size=32, shuffle=True)
val_loader = DataLoader(ordered(256), batch_size=128)
model = OrderNet()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)

for epoch in range(5):
    model.train()
    for x, y in train_loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    model.eval  # ALSO: train-mode-evaluation
    correct = 0
    with torch.no_grad():
        for x, y in val_loader:
            correct += (model(x).argmax(1) == y).sum().item()  # BUG: train-mode-evaluation
    print(f"epoch {epoch}: loss {loss.item():.4f} val acc {correct / 256:.3f}")
