"""Accelerate: transformer on a token-counting task, evaluated every N steps inside the training loop."""
import argparse

import torch
import torch.nn as nn
from accelerate import Accelerator
from torch.utils.data import DataLoader, TensorDataset


class TokenCounter(nn.Module):
    def __init__(self, vocab=12, length=10, d=32):
        super().__init__()
        self.emb = nn.Embedding(vocab, d)
        self.pos = nn.Parameter(0.02 * torch.randn(length, d))
        self.drop = nn.Dropout(0.2)
        layer = nn.TransformerEncoderLayer(d, 4, 64, dropout=0.2, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(d, 3)

    def forward(self, ids):
        return self.head(self.encoder(self.drop(self.emb(ids) + self.pos)).mean(1))


def counts(n, g):
    ids = torch.randint(0, 12, (n, 10), generator=g)
    few = (ids < 4).sum(1)
    return TensorDataset(ids, torch.bucketize(few, torch.tensor([2, 4])))


def evaluate(accelerator, model, loader):
    model.eval()  # BUG: eval-mode-training
    hits = total = 0
    for ids, y in loader:
        with torch.no_grad():
            pred = model(ids).argmax(-1)
        pred, y = accelerator.gather_for_metrics((pred, y))
        hits += (pred == y).sum().item()
        total += len(y)
    return hits / total


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--num_epochs", type=int, default=4)
    parser.add_argument("--eval_steps", type=int, default=20)
    parser.add_argument("--learning_rate", type=float, default=2e-3)
    args = parser.parse_args()

    torch.manual_seed(0)
    g = torch.Generator().manual_seed(0)
    accelerator = Accelerator(cpu=True)
    model = TokenCounter()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.learning_rate)
    train_dl = DataLoader(counts(960, g), batch_size=32, shuffle=True)
    eval_dl = DataLoader(counts(200, g), batch_size=100)
    model, optimizer, train_dl, eval_dl = accelerator.prepare(model, optimizer, train_dl, eval_dl)
    criterion = nn.CrossEntropyLoss()

    step = 0
    for epoch in range(args.num_epochs):
        model.train()
        for ids, y in train_dl:
            optimizer.zero_grad()
            loss = criterion(model(ids), y)  # ALSO: eval-mode-training
            accelerator.backward(loss)
            optimizer.step()
            step += 1
            if step % args.eval_steps == 0:
                acc = evaluate(accelerator, model, eval_dl)
                accelerator.print(f"epoch {epoch} step {step}: loss {loss.item():.4f} acc {acc:.3f}")


if __name__ == "__main__":
    main()
