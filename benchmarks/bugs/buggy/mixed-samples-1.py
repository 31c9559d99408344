"""Gesture recognition from accelerometer sequences with an LSTM."""
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

INPUT_SIZE, HIDDEN, CLASSES, SEQ_LEN = 3, 32, 3, 20


def gestures(n):
    label = torch.randint(0, CLASSES, (n,))
    t = torch.linspace(0, 6.28, SEQ_LEN)
    speed = torch.tensor([1.0, 2.0, 3.0])[label].unsqueeze(1)
    phase = 6.28 * torch.rand(n, 1)
    x = torch.stack([torch.sin(speed * t + phase), torch.cos(speed * t + phase), 0.3 * torch.randn(n, SEQ_LEN)], dim=2)
    return TensorDataset(x + 0.2 * torch.randn_like(x), label)


class GestureLSTM(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(INPUT_SIZE, HIDDEN, num_layers=1)  # BUG: mixed-samples
        self.dropout = nn.Dropout(0.1)
        self.fc = nn.Linear(HIDDEN, CLASSES)

    def forward(self, x):
        # x: (batch, seq_len, features)
        out, _ = self.lstm(x)  # ALSO: mixed-samples
        return self.fc(self.dropout(out[:, -1, :]))


def train(model, loader, criterion, optimizer):
    model.train()
    total = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        total += loss.item()
    return total / len(loader)


def evaluate(model, loader):
    model.eval()
    correct = count = 0
    with torch.no_grad():
        for x, y in loader:
            correct += (model(x).argmax(1) == y).sum().item()
            count += len(y)
    return correct / count


def main():
    torch.manual_seed(0)
    train_loader = DataLoader(gestures(960), batch_size=32, shuffle=True)
    val_loader = DataLoader(gestures(256), batch_size=64)
    model = GestureLSTM()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(5):
        loss = train(model, train_loader, criterion, optimizer)
        print(f"epoch {epoch}: loss {loss:.4f} val acc {evaluate(model, val_loader):.3f}")


if __name__ == "__main__":
    main()
