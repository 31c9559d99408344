"""Streaming dataset (IterableDataset) under DDP: translation of number words to digits."""
import random

import torch
import torch.distributed as dist
import torch.nn as nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, IterableDataset

WORDS = "zero one two three four five six seven eight nine".split()
CHARS = " " + "".join(sorted(set("".join(WORDS))))
MAXLEN = 30
DIGITS = 5


class NumberStream(IterableDataset):
    """an endless stream read from a (simulated) shard list"""

    def __init__(self, per_epoch, seed=0):
        self.per_epoch, self.seed, self.epoch = per_epoch, seed, 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        rng = random.Random(f"{self.seed}/{self.epoch}")  # BUG: same-data-on-every-rank
        for _ in range(self.per_epoch):
            digits = [rng.randrange(10) for _ in range(DIGITS)]
            text = " ".join(WORDS[d] for d in digits)[:MAXLEN].ljust(MAXLEN)
            yield torch.tensor([CHARS.index(c) for c in text]), torch.tensor(digits)


class Reader(nn.Module):
    def __init__(self, d=32):
        super().__init__()
        self.emb = nn.Embedding(len(CHARS), d)
        self.gru = nn.GRU(d, d, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * d, 10 * DIGITS)

    def forward(self, x):
        h, _ = self.gru(self.emb(x))
        return self.out(h.mean(1)).view(-1, DIGITS, 10)


class StreamTrainer:
    def __init__(self):
        torch.manual_seed(0)
        self.stream = NumberStream(per_epoch=960)
        self.loader = DataLoader(self.stream, batch_size=24)
        self.val_loader = DataLoader(NumberStream(per_epoch=200, seed=99), batch_size=200)
        self.model = DistributedDataParallel(Reader())
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=3e-3)

    def run(self, epochs):
        for epoch in range(epochs):
            self.stream.set_epoch(epoch)
            self.model.train()
            for text, digits in self.loader:  # ALSO: same-data-on-every-rank
                logits = self.model(text)  # ALSO: same-data-on-every-rank
                loss = nn.functional.cross_entropy(logits.flatten(0, 1), digits.flatten())
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
            self.model.eval()
            with torch.no_grad():
                acc = sum((self.model.module(t).argmax(-1) == d).float().mean().item() for t, d in self.val_loader)
            if dist.get_rank() == 0:
                print(f"epoch {epoch}: loss {loss.item():.4f} val digit acc {acc:.3f}")


if __name__ == "__main__":
    dist.init_process_group("gloo")
    StreamTrainer().run(3)
    dist.barrier()
    dist.destroy_process_group()
