"""Character-level GRU that learns to tell made-up town names of two languages apart."""
import random

import torch
import torch.nn as nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

random.seed(1)
torch.manual_seed(1)

NORTH = ["sund", "vik", "fjor", "dal", "heim", "stad", "borg", "nes", "berg", "holm"]
SOUTH = ["villa", "monte", "rosa", "sant", "agua", "verde", "rio", "casta", "luna", "nueva"]
CHARS = "abcdefghijklmnopqrstuvwxyz"


def make_name(parts):
    return "".join(random.choices(parts, k=random.randint(2, 3)))


names = list({(make_name(NORTH), 0) for _ in range(500)} | {(make_name(SOUTH), 1) for _ in range(500)})
names.sort()
random.shuffle(names)
split = int(0.8 * len(names))
train_names, val_names = names[:split], names[split:]


def collate(batch):
    seqs = [torch.tensor([CHARS.index(c) + 1 for c in name]) for name, _ in batch]
    lengths = torch.tensor([len(s) for s in seqs])
    return pad_sequence(seqs, batch_first=True), lengths, torch.tensor([lab for _, lab in batch])


class NameClassifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(len(CHARS) + 1, 16, padding_idx=0)
        self.gru = nn.GRU(16, 32, batch_first=True)
        self.fc = nn.Linear(32, 2)

    def forward(self, x, lengths):
        out, _ = self.gru(self.emb(x))
        last = out[torch.arange(len(x)), lengths - 1]
        return self.fc(last)


class Trainer:
    def __init__(self, model, train_loader, val_loader, lr=3e-3):
        self.model = model
        self.train_loader, self.val_loader = train_loader, val_loader
        self.optimizer = torch.optim.Adam(model.parameters(), lr=lr)
        self.criterion = nn.CrossEntropyLoss()

    def _update(self, loss):
        loss.backward()
        self.optimizer.zero_grad()  # BUG: discarded-gradients
        self.optimizer.step()  # ALSO: discarded-gradients

    def fit(self, epochs):
        for epoch in range(epochs):
            self.model.train()
            total = 0.0
            for x, lengths, y in self.train_loader:
                loss = self.criterion(self.model(x, lengths), y)
                self._update(loss)
                total += loss.item()
            print(f"epoch {epoch}: loss {total / len(self.train_loader):.4f}, val acc {self.evaluate():.3f}")

    @torch.no_grad()
    def evaluate(self):
        self.model.eval()
        hits = n = 0
        for x, lengths, y in self.val_loader:
            hits += (self.model(x, lengths).argmax(1) == y).sum().item()
            n += len(y)
        return hits / n


trainer = Trainer(
    NameClassifier(),
    DataLoader(train_names, batch_size=16, shuffle=True, collate_fn=collate),
    DataLoader(val_names, batch_size=64, collate_fn=collate),
)
trainer.fit(4)
