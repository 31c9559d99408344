"""Sequence-to-sequence GRU that learns to reverse short digit strings (encoder and decoder apart)."""
import random

import torch
import torch.nn as nn
import torch.nn.functional as F

SOS, VOCAB, LEN = 10, 11, 6


class EncoderRNN(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, hidden)
        self.gru = nn.GRU(hidden, hidden, batch_first=True)

    def forward(self, x):
        _, h = self.gru(self.embedding(x))
        return h


class DecoderRNN(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, hidden)
        self.gru = nn.GRU(hidden, hidden, batch_first=True)
        self.out = nn.Linear(hidden, VOCAB)

    def forward(self, token, h):
        o, h = self.gru(F.relu(self.embedding(token)), h)
        return self.out(o), h


def batch(n):
    src = torch.randint(0, 10, (n, LEN))
    return src, src.flip(1)


def train(src, tgt, encoder, decoder, encoder_optimizer, decoder_optimizer, criterion):
    encoder_optimizer.zero_grad()
    decoder_optimizer.zero_grad()
    h = encoder(src)
    token = torch.full((len(src), 1), SOS)
    loss = 0
    teacher = random.random() < 0.7
    for t in range(LEN):
        logits, h = decoder(token, h)
        loss = loss + criterion(logits[:, 0], tgt[:, t])
        token = tgt[:, t:t + 1] if teacher else logits.argmax(-1).detach()
    loss = loss / LEN
    loss.backward()  # BUG: gradients-never-applied
    decoder_optimizer.step()  # ALSO: gradients-never-applied
    return loss.item()


def train_iters(encoder, decoder, n_iters, print_every=30, lr=4e-3):
    encoder_optimizer = torch.optim.Adam(encoder.parameters(), lr=lr)  # ALSO: gradients-never-applied
    decoder_optimizer = torch.optim.Adam(decoder.parameters(), lr=lr)
    criterion = nn.CrossEntropyLoss()
    total = 0.0
    for it in range(1, n_iters + 1):
        src, tgt = batch(32)
        total += train(src, tgt, encoder, decoder, encoder_optimizer, decoder_optimizer, criterion)
        if it % print_every == 0:
            print(f"({it} {100 * it // n_iters}%) {total / print_every:.4f}")
            total = 0.0


def main():
    random.seed(0)
    torch.manual_seed(0)
    hidden = 48
    train_iters(EncoderRNN(hidden), DecoderRNN(hidden), n_iters=150)


main()
