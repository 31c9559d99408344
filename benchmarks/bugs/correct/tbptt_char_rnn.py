"""Truncated backpropagation through time over a character stream, with the hidden state detached per chunk."""
import torch
import torch.nn as nn

torch.manual_seed(47)
text = ("she sells sea shells by the sea shore; the shells she sells are sea shells i am sure. "
        "so if she sells sea shells on the sea shore then i am sure she sells sea shore shells. ") * 6
chars = sorted(set(text))
stoi = {c: i for i, c in enumerate(chars)}
data = torch.tensor([stoi[c] for c in text])

BATCH, CHUNK = 4, 16
columns = (len(data) - 1) // BATCH
inputs = data[:columns * BATCH].view(BATCH, columns)
targets = data[1:columns * BATCH + 1].view(BATCH, columns)


class CharRNN(nn.Module):
    def __init__(self, vocab, hidden):
        super().__init__()
        self.embed = nn.Embedding(vocab, 16)
        self.rnn = nn.RNN(16, hidden, batch_first=True)
        self.out = nn.Linear(hidden, vocab)

    def forward(self, x, h):
        y, h = self.rnn(self.embed(x), h)
        return self.out(y), h


model = CharRNN(len(chars), 48)
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
loss_fn = nn.CrossEntropyLoss()

for epoch in range(5):
    hidden = torch.zeros(1, BATCH, 48)
    total, n = 0.0, 0
    for start in range(0, columns, CHUNK):
        hidden = hidden.detach()
        logits, hidden = model(inputs[:, start:start + CHUNK], hidden)
        loss = loss_fn(logits.transpose(1, 2), targets[:, start:start + CHUNK])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        total, n = total + loss.item(), n + 1
    print(f"epoch {epoch} loss {total / n:.4f}")
