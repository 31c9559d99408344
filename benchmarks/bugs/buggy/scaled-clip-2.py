"""Mixed-precision training of a sequence regressor (GRU) with value clipping of the gradients."""
import argparse
import contextlib

import torch
from torch import nn, optim
from torch.amp import GradScaler, autocast
from torch.utils.data import DataLoader, TensorDataset


class AddingRNN(nn.Module):
    """sum of the two marked numbers in a sequence"""

    def __init__(self, hidden=32):
        super().__init__()
        self.rnn = nn.GRU(2, hidden, batch_first=True)
        self.head = nn.Sequential(nn.Linear(hidden, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


def adding_problem(n, length, g):
    values = torch.rand(n, length, generator=g)
    marks = torch.zeros(n, length)
    first = torch.randint(0, length // 2, (n,), generator=g)
    second = torch.randint(length // 2, length, (n,), generator=g)
    marks[torch.arange(n), first] = 1
    marks[torch.arange(n), second] = 1
    return TensorDataset(torch.stack([values, marks], -1), (values * marks).sum(1, keepdim=True) - 1.0)


class Runner:
    def __init__(self, args):
        g = torch.Generator().manual_seed(args.seed)
        self.train_dl = DataLoader(adding_problem(1280, 12, g), args.batch_size, shuffle=True)
        self.val_dl = DataLoader(adding_problem(320, 12, g), 160)
        self.net = AddingRNN()
        self.opt = optim.Adam(self.net.parameters(), lr=args.lr)
        self.scaler = GradScaler("cpu", enabled=not args.no_amp)
        self.ctx = contextlib.nullcontext() if args.no_amp else autocast("cpu", dtype=torch.bfloat16)
        self.clip = args.clip

    def train(self):
        self.net.train()
        for x, y in self.train_dl:
            self.opt.zero_grad()
            with self.ctx:
                loss = nn.functional.mse_loss(self.net(x).float(), y)
            self.scaler.scale(loss).backward()
            if self.clip:
                nn.utils.clip_grad_value_(self.net.parameters(), self.clip)  # BUG: scaled-clip
            self.scaler.step(self.opt)  # ALSO: scaled-clip
            self.scaler.update()

    def validate(self):
        self.net.eval()
        with torch.no_grad():
            return sum(nn.functional.mse_loss(self.net(x), y).item() for x, y in self.val_dl) / len(self.val_dl)


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("--batch-size", type=int, default=32)
    ap.add_argument("--epochs", type=int, default=4)
    ap.add_argument("--lr", type=float, default=3e-3)
    ap.add_argument("--clip", type=float, default=0.1)
    ap.add_argument("--no-amp", action="store_true")
    ap.add_argument("--seed", type=int, default=0)
    args = ap.parse_args()
    torch.manual_seed(args.seed)
    runner = Runner(args)
    for epoch in range(args.epochs):
        runner.train()
        print(f"epoch {epoch}: val mse {runner.validate():.4f}")
