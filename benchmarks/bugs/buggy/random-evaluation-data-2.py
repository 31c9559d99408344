"""Audio-like event detection: random crops of long recordings, Trainer with per-epoch validation."""
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

CROP = 48


class Recordings(Dataset):
    def __init__(self, n, seed, length=96):
        g = torch.Generator().manual_seed(seed)
        self.label = torch.randint(0, 3, (n,), generator=g)
        t = torch.arange(length, dtype=torch.float32)
        freq = torch.tensor([0.25, 0.45, 0.7])[self.label].unsqueeze(1)
        phase = 6.28 * torch.rand(n, 1, generator=g)
        fade = torch.rand(n, length, generator=g).cumsum(1).sin().abs()
        self.wave = fade * torch.sin(freq * t + phase) + 0.4 * torch.randn(n, length, generator=g)

    def __len__(self):
        return len(self.label)

    def __getitem__(self, i):
        start = int(torch.randint(0, self.wave.size(1) - CROP, (1,)))  # BUG: random-evaluation-data
        return self.wave[i, start:start + CROP].unsqueeze(0), self.label[i]


class EventNet(nn.Module):
    def __init__(self, c=16):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv1d(1, c, 7, padding=3), nn.ReLU(), nn.MaxPool1d(2),
            nn.Conv1d(c, c, 7, padding=3), nn.ReLU(), nn.AdaptiveMaxPool1d(2), nn.Flatten())
        self.fc = nn.Linear(2 * c, 3)

    def forward(self, x):
        return self.fc(self.conv(x))


class Trainer:
    def __init__(self, model, train_set, val_set, lr=2e-3, batch_size=32):
        self.model = model
        self.train_dl = DataLoader(train_set, batch_size=batch_size, shuffle=True)
        self.val_dl = DataLoader(val_set, batch_size=100)  # ALSO: random-evaluation-data
        self.opt = torch.optim.AdamW(model.parameters(), lr=lr)
        self.loss_fn = nn.CrossEntropyLoss()
        self.best = 0.0

    def fit(self, epochs):
        for epoch in range(1, epochs + 1):
            self.model.train()
            for x, y in self.train_dl:
                loss = self.loss_fn(self.model(x), y)
                self.opt.zero_grad()
                loss.backward()
                self.opt.step()
            acc = self.validate()
            self.best = max(self.best, acc)
            print(f"epoch {epoch}: loss {loss.item():.4f} val acc {acc:.4f} best {self.best:.4f}")

    @torch.no_grad()
    def validate(self):
        self.model.eval()
        hits = sum((self.model(x).argmax(1) == y).sum().item() for x, y in self.val_dl)  # ALSO: random-evaluation-data
        return hits / len(self.val_dl.dataset)


torch.manual_seed(0)
Trainer(EventNet(), Recordings(960, 0), Recordings(200, 1)).fit(5)
