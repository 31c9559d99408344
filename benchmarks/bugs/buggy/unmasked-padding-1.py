"""GRU encoder-decoder that sorts the letters of short words."""
import random

import torch
import torch.nn as nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

PAD, BOS, EOS = 0, 1, 2
ALPHABET = "abcdefghijklmnop"


def encode(word):
    return [ALPHABET.index(c) + 3 for c in word]


def make_words(n, rng):
    words = set()
    while len(words) < n:
        length = rng.choice([3, 3, 4, 4, 5, 11])
        words.add("".join(rng.choice(ALPHABET) for _ in range(length)))
    words = sorted(words)
    rng.shuffle(words)
    return words


def collate(words):
    src = [torch.tensor(encode(w) + [EOS]) for w in words]
    tgt = [torch.tensor([BOS] + encode(sorted(w)) + [EOS]) for w in words]
    return pad_sequence(src, batch_first=True, padding_value=PAD), pad_sequence(tgt, batch_first=True, padding_value=PAD)


class Seq2Seq(nn.Module):
    def __init__(self, vocab, d=40):
        super().__init__()
        self.src_emb = nn.Embedding(vocab, d, padding_idx=PAD)
        self.tgt_emb = nn.Embedding(vocab, d, padding_idx=PAD)
        self.encoder, self.decoder = nn.GRU(d, d, batch_first=True), nn.GRU(d, d, batch_first=True)
        self.out = nn.Linear(d, vocab)

    def forward(self, src, tgt_in):
        lengths = (src != PAD).sum(1)
        packed = nn.utils.rnn.pack_padded_sequence(self.src_emb(src), lengths, batch_first=True, enforce_sorted=False)
        _, h = self.encoder(packed)
        return self.out(self.decoder(self.tgt_emb(tgt_in), h)[0])


def run(model, loader, criterion, optimizer=None):
    model.train(optimizer is not None)
    total, hits, count = 0.0, 0, 0
    with torch.set_grad_enabled(optimizer is not None):
        for src, tgt in loader:
            logits, gold = model(src, tgt[:, :-1]), tgt[:, 1:]
            loss = criterion(logits.flatten(0, 1), gold.flatten())  # BUG: unmasked-padding
            if optimizer is not None:
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
            total += loss.item()
            hits += (logits.argmax(-1) == gold).sum().item()
            count += gold.numel()
    return total / len(loader), hits / count


def main():
    torch.manual_seed(0)
    words = make_words(1300, random.Random(0))
    train_loader = DataLoader(words[:1056], batch_size=32, shuffle=True, collate_fn=collate)
    val_loader = DataLoader(words[1056:], batch_size=122, collate_fn=collate)
    model = Seq2Seq(len(ALPHABET) + 3)
    criterion = nn.CrossEntropyLoss()  # ALSO: unmasked-padding
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    for epoch in range(4):
        tl, ta = run(model, train_loader, criterion, optimizer)
        vl, va = run(model, val_loader, criterion)
        print(f"epoch {epoch}: train {tl:.3f} acc {ta:.3f}  val {vl:.3f} acc {va:.3f}")


main()
