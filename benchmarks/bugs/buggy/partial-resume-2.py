"""LSTM copy-memory training with warm-up and cosine decay, resumable Trainer."""
import math
import pathlib
import tempfile

import torch
from torch import nn

WARMUP, TOTAL = 20, 160


class CopyLSTM(nn.Module):
    def __init__(self, symbols=6, hidden=32):
        super().__init__()
        self.emb = nn.Embedding(symbols + 1, 16)
        self.lstm = nn.LSTM(16, hidden, batch_first=True)
        self.out = nn.Linear(hidden, symbols)

    def forward(self, x):
        return self.out(self.lstm(self.emb(x))[0][:, -3:])


def batch(n=32, symbols=6, gap=4):
    keys = torch.randint(0, symbols, (n, 3))
    x = torch.cat([keys, torch.full((n, gap + 3), symbols)], dim=1)
    return x, keys


def lr_factor(step):
    if step < WARMUP:
        return (step + 1) / WARMUP
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - WARMUP) / (TOTAL - WARMUP))))


class ResumableTrainer:
    def __init__(self, folder, lr=1e-2):
        self.file = pathlib.Path(folder) / "last.pt"
        self.model = CopyLSTM()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=lr)
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lr_factor)
        self.step = 0

    def save(self):
        torch.save({"step": self.step, "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
                    "scheduler": self.scheduler.state_dict(), "rng": torch.get_rng_state()}, self.file)

    def load(self):
        state = torch.load(self.file, weights_only=True)
        self.step = state["step"]
        self.model.load_state_dict(state["model"])  # ALSO: partial-resume
        self.optimizer.load_state_dict(state["optimizer"])  # BUG: partial-resume
        torch.set_rng_state(state["rng"])

    def train(self, until):
        self.model.train()
        while self.step < until:
            x, keys = batch()
            loss = nn.functional.cross_entropy(self.model(x).flatten(0, 1), keys.flatten())
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.scheduler.step()  # ALSO: partial-resume
            self.step += 1
            if self.step % 20 == 0:
                print(f"step {self.step}: loss {loss.item():.4f} lr {self.scheduler.get_last_lr()[0]:.2e}")
        self.save()


with tempfile.TemporaryDirectory() as folder:
    torch.manual_seed(0)
    ResumableTrainer(folder).train(until=80)
    resumed = ResumableTrainer(folder)
    resumed.load()
    resumed.train(until=TOTAL)
