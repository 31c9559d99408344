"""Bigram-context word model whose embedding is resized for new words."""
# Notebook: growing the vocabulary of a small language model before the second training phase.

# %% imports and data
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)
g = torch.Generator().manual_seed(0)
OLD_VOCAB, NEW_VOCAB = 30, 45


def markov_text(vocab, n):
    table = torch.randint(0, vocab, (vocab, 6), generator=g)
    out = [0]
    for _ in range(n):
        out.append(int(table[out[-1], torch.randint(0, 6, (1,), generator=g)]))
    return torch.tensor(out)


def batch_of(text, size=32, ctx=8):
    ix = torch.randint(0, len(text) - ctx - 1, (size,))
    return torch.stack([text[i:i + ctx] for i in ix]), text[ix + ctx]


# %% model
class ContextModel(nn.Module):
    def __init__(self, vocab, d=16, ctx=8):
        super().__init__()
        self.emb = nn.Embedding(vocab, d)
        self.fc = nn.Linear(ctx * d, 48)
        self.out = nn.Linear(48, vocab)

    def forward(self, x):
        return self.out(F.relu(self.fc(self.emb(x).flatten(1))))

    def resize(self, vocab):
        old_emb, old_out = self.emb, self.out
        self.emb = nn.Embedding(vocab, old_emb.embedding_dim)  # BUG: orphaned-parameters
        self.out = nn.Linear(old_out.in_features, vocab)  # ALSO: orphaned-parameters
        with torch.no_grad():
            self.emb.weight[:OLD_VOCAB] = old_emb.weight
            self.out.weight[:OLD_VOCAB] = old_out.weight
            self.out.bias[:OLD_VOCAB] = old_out.bias


model = ContextModel(OLD_VOCAB)
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)  # ALSO: orphaned-parameters


def train(text, steps):
    held_out, text = text[-500:], text[:-500]
    for step in range(1, steps + 1):
        model.train()
        x, y = batch_of(text)
        loss = F.cross_entropy(model(x), y)
        model.zero_grad()
        loss.backward()
        optimizer.step()  # ALSO: orphaned-parameters
        if step % 40 == 0:
            model.eval()
            with torch.no_grad():
                x, y = batch_of(held_out, size=200)
                print(f"  step {step}: train {loss.item():.3f} held-out {F.cross_entropy(model(x), y).item():.3f}")


# %% phase 1
print("phase 1, vocabulary", OLD_VOCAB)
train(markov_text(OLD_VOCAB, 3000), 80)

# %% phase 2
model.resize(NEW_VOCAB)
print("phase 2, vocabulary", NEW_VOCAB)
train(markov_text(NEW_VOCAB, 4000), 120)
