"""Keeps a deep copy of the best weights by validation loss, stops early, and loads them back for the test."""
import copy

import torch
import torch.nn as nn
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split


class Trainer:
    def __init__(self, model, lr, patience):
        self.model, self.patience = model, patience
        self.optimizer = torch.optim.Adam(model.parameters(), lr=lr)
        self.criterion = nn.CrossEntropyLoss()

    def train_epoch(self, x, y):
        self.model.train()
        for idx in torch.randperm(len(y)).split(32):
            self.optimizer.zero_grad()
            self.criterion(self.model(x[idx]), y[idx]).backward()
            self.optimizer.step()

    @torch.no_grad()
    def loss(self, x, y):
        self.model.eval()
        return self.criterion(self.model(x), y).item()

    def fit(self, train, valid, epochs):
        best, wait, state, history = float("inf"), 0, None, []
        for epoch in range(epochs):
            self.train_epoch(*train)
            value = self.loss(*valid)
            history.append(value)
            if value < best:
                best, wait = value, 0
                state = copy.deepcopy(self.model.state_dict())
            else:
                wait += 1
                if wait > self.patience:
                    break
        self.model.load_state_dict(state)
        return history


torch.manual_seed(132)
X, y = make_classification(700, 20, n_informative=6, flip_y=0.1, random_state=132)
a, t, ya, yt = train_test_split(X, y, test_size=200, random_state=132)
a, v, ya, yv = train_test_split(a, ya, test_size=150, random_state=132)
mu, sd = a.mean(0), a.std(0)
f = lambda m: torch.tensor((m - mu) / sd, dtype=torch.float32)
model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 2))
trainer = Trainer(model, lr=5e-3, patience=3)
history = trainer.fit((f(a), torch.tensor(ya)), (f(v), torch.tensor(yv)), 20)
print("validation", [round(h, 4) for h in history])
print("loaded back", round(trainer.loss(f(v), torch.tensor(yv)), 4), "test", round(trainer.loss(f(t), torch.tensor(yt)), 4))
