"""Word-level LSTM language model on a generated grammar, trained by truncated backpropagation."""
import random

import torch
import torch.nn as nn

random.seed(2)
torch.manual_seed(2)

SUBJ, VERB, OBJ = ["cat", "dog", "bird", "child"], ["sees", "likes", "follows"], ["ball", "tree", "house", "river"]
words = []
for _ in range(1800):
    words += ["the", random.choice(SUBJ), random.choice(VERB), "a", random.choice(OBJ), "."]
vocab = sorted(set(words))
ids = torch.tensor([vocab.index(w) for w in words])


def batchify(data, bsz):
    n = len(data) // bsz
    return data[:n * bsz].view(bsz, n)


train_data, val_data = batchify(ids[:9600], 16), batchify(ids[9600:], 8)
BPTT = 10


class RNNModel(nn.Module):
    def __init__(self, ntoken, ninp=24, nhid=32):
        super().__init__()
        self.encoder = nn.Embedding(ntoken, ninp)
        self.rnn = nn.LSTM(ninp, nhid, batch_first=True)
        self.decoder = nn.Linear(nhid, ntoken)

    def forward(self, x, hidden):
        out, hidden = self.rnn(self.encoder(x), hidden)
        return self.decoder(out), hidden


def repackage(hidden):
    return None if hidden is None else tuple(h.detach() for h in hidden)


model = RNNModel(len(vocab))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=1.0)


def train():
    model.train()
    hidden, total = None, 0.0
    starts = range(0, train_data.size(1) - 1 - BPTT, BPTT)
    for i in starts:
        x, y = train_data[:, i:i + BPTT], train_data[:, i + 1:i + 1 + BPTT]
        hidden = repackage(hidden)
        optimizer.zero_grad()
        output, hidden = model(x, hidden)
        loss = criterion(output.reshape(-1, len(vocab)), y.reshape(-1))
        loss.backward()
        optimizer.step()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)  # BUG: clip-without-effect
        total += loss.item()
    return total / len(starts)


def evaluate():
    model.eval()
    with torch.no_grad():
        output, _ = model(val_data[:, :-1], None)
        return criterion(output.reshape(-1, len(vocab)), val_data[:, 1:].reshape(-1)).item()


for epoch in range(1, 4):
    print(f"| end of epoch {epoch} | train loss {train():.3f} | valid loss {evaluate():.3f}")
