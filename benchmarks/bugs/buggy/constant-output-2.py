"""Spam filter: an LSTM reads tokenised messages that start with a [CLS] token."""
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

PAD, CLS = 0, 1
VOCAB = 50


class Messages(Dataset):
    def __init__(self, n, seed, max_len=16):
        g = torch.Generator().manual_seed(seed)
        self.ids = torch.zeros(n, max_len, dtype=torch.long)
        self.labels = torch.randint(0, 2, (n,), generator=g).float()
        for i in range(n):
            length = int(torch.randint(8, max_len, (1,), generator=g))
            words = torch.randint(2, VOCAB, (length,), generator=g)
            spam_words = torch.randint(40, VOCAB, (length,), generator=g)
            mix = torch.rand(length, generator=g) < (0.5 if self.labels[i] else 0.05)
            self.ids[i, 0] = CLS
            self.ids[i, 1:length + 1] = torch.where(mix, spam_words, words)[:max_len - 1]

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, i):
        return self.ids[i], self.labels[i]


class SpamLSTM(nn.Module):
    def __init__(self, emb=24, hidden=32):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, emb, padding_idx=PAD)
        self.lstm = nn.LSTM(emb, hidden, batch_first=True)
        self.classifier = nn.Linear(hidden, 1)

    def forward(self, ids):
        hidden, _ = self.lstm(self.embedding(ids))
        cls = hidden[:, 0]  # BUG: constant-output
        return self.classifier(cls).squeeze(-1)  # ALSO: constant-output


class Trainer:
    def __init__(self, model, train_set, val_set):
        self.model = model
        self.criterion = nn.BCEWithLogitsLoss()
        self.optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        self.train_loader = DataLoader(train_set, batch_size=32, shuffle=True)
        self.val_loader = DataLoader(val_set, batch_size=100)

    def run(self, epochs):
        for epoch in range(epochs):
            self.model.train()
            losses = []
            for ids, label in self.train_loader:
                self.optimizer.zero_grad()
                loss = self.criterion(self.model(ids), label)  # ALSO: constant-output
                loss.backward()
                self.optimizer.step()
                losses.append(loss.item())
            print(f"epoch {epoch}: loss {sum(losses) / len(losses):.4f} val acc {self.accuracy():.3f}")

    @torch.no_grad()
    def accuracy(self):
        self.model.eval()
        return sum(((self.model(i) > 0) == (l > 0.5)).sum().item() for i, l in self.val_loader) / len(self.val_loader.dataset)


torch.manual_seed(0)
Trainer(SpamLSTM(), Messages(960, 0), Messages(200, 1)).run(4)
