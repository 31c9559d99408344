"""Trainer class with early stopping: LSTM with dropout predicts the class of a random walk."""
import copy

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class WalkLSTM(nn.Module):
    def __init__(self, hidden=24):
        super().__init__()
        self.lstm = nn.LSTM(1, hidden, num_layers=2, dropout=0.2, batch_first=True)
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(hidden, 3))

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


def walks(n, steps=15):
    y = torch.randint(0, 3, (n,))
    drift = torch.tensor([-0.25, 0.0, 0.25])[y].unsqueeze(1)
    x = (drift + 0.5 * torch.randn(n, steps)).cumsum(1) / 3
    return TensorDataset(x.unsqueeze(-1), y)


class EarlyStoppingTrainer:
    def __init__(self, model, patience=3):
        self.model = model.train()
        self.patience = patience
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        self.best_loss, self.best_state, self.bad_epochs = float("inf"), None, 0

    def _train_batch(self, x, y):
        self.optimizer.zero_grad()
        loss = self.criterion(self.model(x), y)  # ALSO: eval-mode-training
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        return loss.item()

    def _validate(self, loader):
        self.model.eval()  # BUG: eval-mode-training
        with torch.no_grad():
            return sum(self.criterion(self.model(x), y).item() for x, y in loader) / len(loader)

    def fit(self, train_loader, val_loader, max_epochs):
        for epoch in range(max_epochs):
            train_loss = sum(self._train_batch(x, y) for x, y in train_loader) / len(train_loader)
            val_loss = self._validate(val_loader)
            print(f"epoch {epoch}: train {train_loss:.4f} val {val_loss:.4f}")
            if val_loss < self.best_loss:
                self.best_loss, self.bad_epochs = val_loss, 0
                self.best_state = copy.deepcopy(self.model.state_dict())
            else:
                self.bad_epochs += 1
                if self.bad_epochs >= self.patience:
                    break
        self.model.load_state_dict(self.best_state)
        return self.model


torch.manual_seed(0)
trainer = EarlyStoppingTrainer(WalkLSTM())
trainer.fit(DataLoader(walks(960), batch_size=32, shuffle=True), DataLoader(walks(240), batch_size=120), max_epochs=4)
