"""Vision-transformer-like patch classifier on digits with a configurable trainer."""
from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


@dataclass
class Config:
    epochs: int = 4
    batch_size: int = 12
    accumulate: int = 8
    lr: float = 3e-3
    dim: int = 32


class PatchTransformer(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.embed = nn.Linear(4, dim)
        self.pos = nn.Parameter(torch.randn(1, 16, dim) * 0.02)
        layer = nn.TransformerEncoderLayer(dim, 4, dim * 2, dropout=0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(dim, 10)

    def forward(self, x):
        patches = nn.functional.unfold(x, kernel_size=2, stride=2).transpose(1, 2)
        return self.head(self.encoder(self.embed(patches) + self.pos).mean(1))


class Trainer:
    def __init__(self, cfg):
        torch.manual_seed(0)
        self.cfg = cfg
        d = load_digits()
        x = torch.tensor(d.images).float().unsqueeze(1) / 8 - 1
        y = torch.tensor(d.target)
        order = torch.randperm(len(x))
        tr, va = order[:1452], order[1452:]
        self.train_loader = DataLoader(TensorDataset(x[tr], y[tr]), cfg.batch_size, shuffle=True)
        self.val = (x[va], y[va])
        self.model = PatchTransformer(cfg.dim)
        self.opt = torch.optim.AdamW(self.model.parameters(), lr=cfg.lr)
        self.loss = nn.CrossEntropyLoss()

    def training_epoch(self):
        self.model.train()
        for batch_idx, (x, y) in enumerate(self.train_loader):
            loss = self.loss(self.model(x), y) / self.cfg.accumulate
            loss.backward()
            if not batch_idx % self.cfg.accumulate:  # BUG: offset-accumulation
                self.opt.step()  # ALSO: offset-accumulation
                self.opt.zero_grad()

    @torch.no_grad()
    def accuracy(self):
        self.model.eval()
        x, y = self.val
        return (self.model(x).argmax(1) == y).float().mean().item()

    def fit(self):
        for epoch in range(self.cfg.epochs):
            self.training_epoch()
            print(f"epoch {epoch} val acc {self.accuracy():.3f}")


Trainer(Config()).fit()
