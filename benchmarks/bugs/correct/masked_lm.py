"""BERT-style masked language model on periodic strings: targets equal inputs except that 15 % are masked."""
import torch
import torch.nn as nn
import torch.nn.functional as F

PAD, MASK, OFFSET, SYMBOLS = 0, 1, 2, 10


def corpus(n, g):
    start = torch.randint(0, SYMBOLS, (n, 1), generator=g)
    stride = torch.randint(1, 3, (n, 1), generator=g)
    return (start + stride * torch.arange(12)) % SYMBOLS + OFFSET


def corrupt(ids, g):
    labels = ids.clone()
    chosen = torch.rand(ids.shape, generator=g) < 0.15
    chosen[:, 3] |= ~chosen.any(1)
    labels[~chosen] = -100
    noise = torch.rand(ids.shape, generator=g)
    inputs = ids.clone()
    inputs[chosen & (noise < 0.8)] = MASK
    random_words = torch.randint(OFFSET, OFFSET + SYMBOLS, ids.shape, generator=g)
    replace = chosen & (noise >= 0.8) & (noise < 0.9)
    inputs[replace] = random_words[replace]
    return inputs, labels


class Bert(nn.Module):
    def __init__(self, d=32):
        super().__init__()
        self.embed = nn.Embedding(SYMBOLS + OFFSET, d, padding_idx=PAD)
        self.pos = nn.Embedding(12, d)
        layer = nn.TransformerEncoderLayer(d, 4, 64, dropout=0.0, batch_first=True, activation="gelu", norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(d, SYMBOLS + OFFSET)

    def forward(self, ids):
        return self.head(self.encoder(self.embed(ids) + self.pos(torch.arange(ids.shape[1]))))


torch.manual_seed(50)
g = torch.Generator().manual_seed(50)
model = Bert()
opt = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.0)
held_inputs, held_labels = corrupt(corpus(200, g), g)
losses = []
for step in range(120):
    inputs, labels = corrupt(corpus(48, g), g)
    loss = F.cross_entropy(model(inputs).view(-1, SYMBOLS + OFFSET), labels.view(-1))
    opt.zero_grad()
    loss.backward()
    opt.step()
    losses.append(loss.item())
model.eval()
with torch.no_grad():
    guess = model(held_inputs).argmax(-1)
m = held_labels != -100
print("loss", [round(sum(losses[k:k + 10]) / 10, 4) for k in (0, 50, 110)], "masked accuracy", round((guess[m] == held_labels[m]).float().mean().item(), 4))
