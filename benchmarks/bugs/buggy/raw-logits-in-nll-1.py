"""Message classification: multinomial text features and a two-layer network."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
WORDS, CLASSES = 50, 4


def bag_of_words(n):
    profile = torch.ones(CLASSES, WORDS)
    for c in range(CLASSES):
        profile[c, c * 10:c * 10 + 14] = 3.0
    y = torch.randint(0, CLASSES, (n,))
    draws = torch.multinomial(profile[y], 25, replacement=True)
    counts = torch.zeros(n, WORDS).scatter_add_(1, draws, torch.ones(n, 25))
    return TensorDataset(torch.log1p(counts), y)


class MessageNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(WORDS, 48)
        self.fc2 = nn.Linear(48, CLASSES)

    def forward(self, x):
        x = F.relu(self.fc1(x))
        x = F.dropout(x, 0.2, training=self.training)
        return self.fc2(x)  # ALSO: raw-logits-in-nll


class Session:
    def __init__(self):
        self.model = MessageNet()
        self.criterion = nn.NLLLoss()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.02)
        self.train_loader = DataLoader(bag_of_words(960), batch_size=32, shuffle=True)
        self.val_loader = DataLoader(bag_of_words(240), batch_size=120)

    def train_epoch(self):
        self.model.train()
        total = 0.0
        for x, y in self.train_loader:
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(x), y)  # BUG: raw-logits-in-nll
            loss.backward()
            self.optimizer.step()
            total += loss.item()
        return total / len(self.train_loader)

    @torch.no_grad()
    def accuracy(self):
        self.model.eval()
        return sum((self.model(x).argmax(1) == y).sum().item() for x, y in self.val_loader) / 240


session = Session()
for epoch in range(4):
    print(f"epoch {epoch}: loss {session.train_epoch():.4f} val acc {session.accuracy():.3f}")
