"""Fine-tune a pretrained sentence encoder (GRU) for a new label set; only the head should learn."""
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

VOCAB, LEN = 25, 14


class GRUEncoder(nn.Module):
    def __init__(self, d=32):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, d)
        self.gru = nn.GRU(d, d, batch_first=True)

    def forward(self, x):
        return self.gru(self.embedding(x))[0].mean(dim=1)


class SentenceModel(nn.Module):
    def __init__(self, encoder, classes, d=32):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Sequential(nn.Linear(d, d), nn.ReLU(), nn.Dropout(0.1), nn.Linear(d, classes))

    def forward(self, x):
        return self.head(self.encoder(x))


def topic_data(n, topics, seed):
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(0, topics, (n,), generator=g)
    weights = torch.ones(topics, VOCAB)
    for k in range(topics):
        weights[k, k * 5:(k + 1) * 5] = 4.0
    x = torch.stack([torch.multinomial(weights[k], LEN, replacement=True, generator=g) for k in y])
    return TensorDataset(x, y)


def train(model, optimizer, train_set, val_set, epochs):
    criterion = nn.CrossEntropyLoss()
    train_loader = DataLoader(train_set, batch_size=32, shuffle=True)
    val_loader = DataLoader(val_set, batch_size=200)
    for epoch in range(epochs):
        model.train()
        for x, y in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            acc = sum((model(x).argmax(1) == y).float().mean().item() for x, y in val_loader) / len(val_loader)
        print(f"  epoch {epoch}: loss {loss.item():.3f} val acc {acc:.3f}")


def main():
    torch.manual_seed(0)
    print("pretraining")
    source = SentenceModel(GRUEncoder(), classes=5)
    train(source, torch.optim.Adam(source.parameters(), lr=3e-3), topic_data(960, 5, 1), topic_data(200, 5, 2), 2)

    print("fine-tuning the head")
    model = SentenceModel(source.encoder, classes=3)
    model.encoder.requires_grad = False  # BUG: ineffective-requires-grad
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    train(model, optimizer, topic_data(960, 3, 3), topic_data(200, 3, 4), 3)


main()
