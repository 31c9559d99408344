"""A Trainer class with a dataclass config, callbacks, accumulation, clipping, EMA validation and best-weights copy."""
import copy
from dataclasses import dataclass, field

import torch
import torch.nn as nn
from sklearn.datasets import load_wine
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, TensorDataset, random_split


@dataclass
class Config:
    epochs: int = 8
    lr: float = 0.08
    accumulate: int = 2
    max_norm: float = 2.0
    ema: float = 0.9


@dataclass
class State:
    step: int = 0
    best: float = float("inf")
    weights: dict | None = None
    log: list = field(default_factory=list)


class Trainer:
    def __init__(self, model, cfg, callbacks=()):
        self.model, self.cfg, self.callbacks, self.state = model, cfg, callbacks, State()
        self.opt = torch.optim.SGD(model.parameters(), lr=cfg.lr, momentum=0.9)
        self.ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(cfg.ema))
        self.loss_fn = nn.CrossEntropyLoss()

    def emit(self, event, **kw):
        for cb in self.callbacks:
            getattr(cb, event, lambda *a, **k: None)(self, **kw)

    def optimizer_step(self):
        nn.utils.clip_grad_norm_(self.model.parameters(), self.cfg.max_norm)
        self.opt.step()
        self.opt.zero_grad(set_to_none=True)
        self.ema.update_parameters(self.model)
        self.state.step += 1

    def train_epoch(self, loader):
        self.model.train()
        total = 0.0
        for i, (x, y) in enumerate(loader, 1):
            loss = self.loss_fn(self.model(x), y)
            (loss / self.cfg.accumulate).backward()
            total += loss.item() / len(loader)
            if i % self.cfg.accumulate == 0:
                self.optimizer_step()
        return total

    @torch.no_grad()
    def validate(self, loader):
        self.ema.eval()
        return sum(self.loss_fn(self.ema(x), y).item() for x, y in loader) / len(loader)

    def fit(self, train, valid):
        for epoch in range(self.cfg.epochs):
            loss, val = self.train_epoch(train), self.validate(valid)
            self.emit("epoch_end", epoch=epoch, loss=loss, val=val)
        return self.state


class KeepBest:
    def epoch_end(self, trainer, epoch, loss, val):
        s = trainer.state
        s.log.append((loss, val))
        if val < s.best:
            s.best, s.weights = val, copy.deepcopy(trainer.ema.module.state_dict())


torch.manual_seed(190)
wine = load_wine()
x = torch.tensor((wine.data - wine.data.mean(0)) / wine.data.std(0), dtype=torch.float32)
train, valid = random_split(TensorDataset(x, torch.tensor(wine.target)), [120, 58])
net = nn.Sequential(nn.Linear(13, 20), nn.ReLU(), nn.Dropout(0.1), nn.Linear(20, 3))
state = Trainer(net, Config(), [KeepBest()]).fit(DataLoader(train, 15, shuffle=True), DataLoader(valid, 58))
for k in (0, 3, 7):
    print(f"epoch {k} train {state.log[k][0]:.4f} valid (ema) {state.log[k][1]:.4f}")
print(f"best {state.best:.4f} after {state.step} updates in total")
