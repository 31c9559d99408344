"""Word-level language model with a recurrent network, configured on the command line."""
import argparse

import torch
import torch.nn as nn


def corpus(n, vocab, seed):
    g = torch.Generator().manual_seed(seed)
    table = torch.randint(0, vocab, (vocab, 4), generator=torch.Generator().manual_seed(99))
    ids = [0]
    for c in torch.randint(0, 4, (n - 1,), generator=g).tolist():
        ids.append(int(table[ids[-1], c]))
    return torch.tensor(ids)


class LanguageModel(nn.Module):
    def __init__(self, cell, vocab, emb, hidden, layers, dropout):
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.encoder = nn.Embedding(vocab, emb)
        self.rnn = getattr(nn, cell)(emb, hidden, layers, batch_first=True, bidirectional=True)  # BUG: leaking-future
        self.decoder = nn.Linear(2 * hidden, vocab)

    def forward(self, x):
        out, _ = self.rnn(self.drop(self.encoder(x)))  # ALSO: leaking-future
        return self.decoder(self.drop(out))


def batches(ids, bptt, size, shuffle):
    n = (len(ids) - 1) // bptt
    x, y = ids[:n * bptt].view(n, bptt), ids[1:n * bptt + 1].view(n, bptt)
    order = torch.randperm(n) if shuffle else torch.arange(n)
    for idx in order.split(size):
        yield x[idx], y[idx]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="GRU", choices=["GRU", "LSTM"])
    parser.add_argument("--vocab", type=int, default=40)
    parser.add_argument("--emsize", type=int, default=24)
    parser.add_argument("--nhid", type=int, default=24)
    parser.add_argument("--nlayers", type=int, default=1)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--bptt", type=int, default=16)
    parser.add_argument("--batch_size", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=4)
    args = parser.parse_args()
    torch.manual_seed(1111)

    train_ids, val_ids = corpus(11000, args.vocab, 0), corpus(2500, args.vocab, 1)
    model = LanguageModel(args.model, args.vocab, args.emsize, args.nhid, args.nlayers, args.dropout)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for epoch in range(1, args.epochs + 1):
        model.train()
        for x, y in batches(train_ids, args.bptt, args.batch_size, shuffle=True):
            optimizer.zero_grad()
            loss = criterion(model(x).flatten(0, 1), y.flatten())
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
        model.eval()
        with torch.no_grad():
            losses = [criterion(model(x).flatten(0, 1), y.flatten()).item()
                      for x, y in batches(val_ids, args.bptt, 50, shuffle=False)]
        print(f"epoch {epoch}: train {loss.item():.3f} val {sum(losses) / len(losses):.3f}")


if __name__ == "__main__":
    main()
