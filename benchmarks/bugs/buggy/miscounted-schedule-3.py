"""Tabular regression on the diabetes data with a one-cycle policy."""
import torch
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, TensorDataset


class Learner:
    def __init__(self, model, train_dl, valid_dl, max_lr, epochs):
        self.model, self.train_dl, self.valid_dl, self.epochs = model, train_dl, valid_dl, epochs
        self.opt = torch.optim.AdamW(model.parameters(), lr=max_lr, weight_decay=1e-2)
        self.sched = OneCycleLR(self.opt, max_lr=max_lr, total_steps=epochs * len(train_dl))  # ALSO: miscounted-schedule
        self.loss_func = nn.SmoothL1Loss()

    def one_epoch(self, train):
        self.model.train(train)
        total, n = 0.0, 0
        for xb, yb in self.train_dl if train else self.valid_dl:
            with torch.set_grad_enabled(train):
                loss = self.loss_func(self.model(xb), yb)
            if train:
                loss.backward()
                self.opt.step()
                self.opt.zero_grad()
            total += loss.item() * len(xb)
            n += len(xb)
        return total / n

    def fit(self):
        for epoch in range(self.epochs):
            train_loss = self.one_epoch(True)
            self.sched.step()  # BUG: miscounted-schedule
            valid_loss = self.one_epoch(False)
            print(f"{epoch:3d}  {train_loss:.4f}  {valid_loss:.4f}  lr {self.sched.get_last_lr()[0]:.2e}")


def get_dls(bs=32):
    X, y = load_diabetes(return_X_y=True)
    X_tr, X_va, y_tr, y_va = train_test_split(X, y.reshape(-1, 1), test_size=0.2, random_state=3)
    sx, sy = StandardScaler().fit(X_tr), StandardScaler().fit(y_tr)
    t = lambda a: torch.tensor(a, dtype=torch.float32)
    train = TensorDataset(t(sx.transform(X_tr)), t(sy.transform(y_tr)))
    valid = TensorDataset(t(sx.transform(X_va)), t(sy.transform(y_va)))
    return DataLoader(train, bs, shuffle=True), DataLoader(valid, 128)


torch.manual_seed(3)
net = nn.Sequential(nn.Linear(10, 32), nn.SiLU(), nn.Dropout(0.2), nn.Linear(32, 1))
Learner(net, *get_dls(), max_lr=1e-2, epochs=12).fit()
