"""Weekly activity prediction: a seven-day sequence, one of seven activities for every day."""
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
DAYS, ACTIVITIES, FEATURES = 7, 7, 6


def weeks(n):
    x = torch.randn(n, DAYS, FEATURES)
    weekday = torch.arange(DAYS).expand(n, DAYS)
    level = (2.0 * x[..., 0] + x[..., 1]).clamp(-2, 2).round().long() + 2
    return TensorDataset(x, (level + weekday) % ACTIVITIES)


class WeekModel(nn.Module):
    def __init__(self, hidden=32):
        super().__init__()
        self.day = nn.Embedding(DAYS, hidden)
        self.inp = nn.Linear(FEATURES, hidden)
        self.lstm = nn.LSTM(hidden, hidden, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * hidden, ACTIVITIES)

    def forward(self, x):
        h = torch.relu(self.inp(x) + self.day.weight)
        return self.head(self.lstm(h)[0])


train_loader = DataLoader(weeks(1200), batch_size=40, shuffle=True)
val_loader = DataLoader(weeks(300), batch_size=150)
model = WeekModel()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

for epoch in range(5):
    model.train()
    running = 0.0
    for x, y in train_loader:
        optimizer.zero_grad()
        logits = model(x)                # (batch, day, activity)
        loss = criterion(logits, y)  # BUG: misplaced-class-dimension
        loss.backward()
        optimizer.step()
        running += loss.item()
    model.eval()
    hits = 0
    with torch.no_grad():
        for x, y in val_loader:
            hits += (model(x).argmax(-1) == y).sum().item()
    print(f"epoch {epoch}: loss {running / len(train_loader):.4f} val acc {hits / (300 * DAYS):.3f}")
