"""Half-precision training of an LSTM sentiment-like classifier, chosen with --dtype."""
import argparse

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def synthetic_reviews(n, length, vocab, g):
    polarity = torch.linspace(-1, 1, vocab)
    tokens = torch.randint(0, vocab, (n, length), generator=g)
    score = polarity[tokens].sum(1)
    return TensorDataset(tokens, (score > 0).long())


class SentimentLSTM(nn.Module):
    def __init__(self, vocab, emb=24, hidden=32):
        super().__init__()
        self.embedding = nn.Embedding(vocab, emb)
        self.lstm = nn.LSTM(emb, hidden, batch_first=True)
        self.dropout = nn.Dropout(0.1)
        self.classifier = nn.Linear(hidden, 2)

    def forward(self, tokens):
        out, _ = self.lstm(self.embedding(tokens))
        return self.classifier(self.dropout(out.mean(1)))


class Experiment:
    def __init__(self, args):
        torch.manual_seed(args.seed)
        g = torch.Generator().manual_seed(args.seed)
        self.epochs = args.epochs
        self.train_loader = DataLoader(synthetic_reviews(1200, 12, 40, g), batch_size=args.batch_size, shuffle=True)
        self.val_loader = DataLoader(synthetic_reviews(300, 12, 40, g), batch_size=100)
        self.model = SentimentLSTM(40).to(DTYPES[args.dtype])  # ALSO: lost-updates
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=args.lr, momentum=args.momentum)
        self.criterion = nn.CrossEntropyLoss()

    def run(self):
        for epoch in range(self.epochs):
            self.model.train()
            for tokens, label in self.train_loader:
                self.optimizer.zero_grad()
                loss = self.criterion(self.model(tokens).float(), label)
                loss.backward()
                self.optimizer.step()  # BUG: lost-updates
            print(f"epoch {epoch}: loss {loss.item():.4f} val acc {self.evaluate():.3f}")

    @torch.no_grad()
    def evaluate(self):
        self.model.eval()
        hits = sum((self.model(t).argmax(1) == y).sum().item() for t, y in self.val_loader)
        return hits / len(self.val_loader.dataset)


parser = argparse.ArgumentParser()
parser.add_argument("--dtype", choices=DTYPES, default="bf16")
parser.add_argument("--lr", type=float, default=1e-3)
parser.add_argument("--momentum", type=float, default=0.9)
parser.add_argument("--batch_size", type=int, default=40)
parser.add_argument("--epochs", type=int, default=4)
parser.add_argument("--seed", type=int, default=0)
Experiment(parser.parse_args()).run()
