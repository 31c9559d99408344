"""Two-stage captioner: convolutional encoder, GRU decoder that spells the digit's name."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
LETTERS = sorted(set("".join(NAMES)))
BOS, EOS = len(LETTERS), len(LETTERS) + 1
MAX = 6


def spell(label):
    ids = [LETTERS.index(c) for c in NAMES[label]]
    return ids + [EOS] + [-100] * (MAX - len(ids) - 1)


class ImageEncoder(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
        self.proj = nn.Linear(96, d)

    def forward(self, x):
        return torch.tanh(self.proj(self.conv(x)))


class Speller(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.emb = nn.Embedding(len(LETTERS) + 2, d)
        self.gru = nn.GRU(d, d, batch_first=True)
        self.out = nn.Linear(d, len(LETTERS) + 2)

    def forward(self, context, tokens):
        h, _ = self.gru(self.emb(tokens), context.unsqueeze(0))
        return self.out(h)


def run_batch(encoder, speller, x, target):
    inputs = torch.cat([torch.full((len(x), 1), BOS), target[:, :-1].clamp(min=0)], dim=1)
    context = encoder(x).detach()  # BUG: unreached-parameters
    logits = speller(context, inputs)
    return F.cross_entropy(logits.transpose(1, 2), target, ignore_index=-100)


def main():
    torch.manual_seed(0)
    d = load_digits()
    x = torch.tensor(d.images).float().unsqueeze(1) / 16
    t = torch.tensor([spell(k) for k in d.target])
    perm = torch.randperm(len(x))
    tr, va = perm[:1440], perm[1440:]
    loader = DataLoader(TensorDataset(x[tr], t[tr]), batch_size=48, shuffle=True)
    encoder, speller = ImageEncoder(32), Speller(32)
    optimizer = torch.optim.Adam([*encoder.parameters(), *speller.parameters()], lr=3e-3)
    for epoch in range(4):
        encoder.train(), speller.train()
        for xb, tb in loader:
            loss = run_batch(encoder, speller, xb, tb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        encoder.eval(), speller.eval()
        with torch.no_grad():
            print(f"epoch {epoch}: train {loss.item():.4f} val {run_batch(encoder, speller, x[va], t[va]).item():.4f}")


if __name__ == "__main__":
    main()
