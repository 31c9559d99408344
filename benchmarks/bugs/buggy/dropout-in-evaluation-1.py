"""Text classification with convolutions over word embeddings (Kim-style)."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

VOCAB, LENGTH = 60, 14


class TextCNN(nn.Module):
    def __init__(self, embed_dim=24, n_filters=16, widths=(2, 3, 4), classes=3):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, embed_dim)
        self.convs = nn.ModuleList([nn.Conv1d(embed_dim, n_filters, w) for w in widths])
        self.fc = nn.Linear(n_filters * len(widths), classes)

    def forward(self, text):
        x = self.embedding(text).transpose(1, 2)
        pooled = [F.relu(conv(x)).max(dim=2).values for conv in self.convs]
        features = F.dropout(torch.cat(pooled, dim=1), p=0.5)  # BUG: dropout-in-evaluation
        return self.fc(features)


def phrases(n):
    key = torch.tensor([[3, 17], [41, 8], [22, 59]])
    text = torch.randint(0, VOCAB, (n, LENGTH))
    label = torch.randint(0, 3, (n,))
    where = torch.randint(0, LENGTH - 1, (n,))
    for i in range(n):
        text[i, where[i]:where[i] + 2] = key[label[i]]
    return TensorDataset(text, label)


def train(model, iterator, optimizer, criterion):
    model.train()
    total = 0.0
    for text, label in iterator:
        optimizer.zero_grad()
        loss = criterion(model(text), label)
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(iterator)


def evaluate(model, iterator, criterion):
    model.eval()
    loss = acc = 0.0
    with torch.no_grad():
        for text, label in iterator:
            out = model(text)
            loss += criterion(out, label).item()
            acc += (out.argmax(1) == label).float().mean().item()
    return loss / len(iterator), acc / len(iterator)


def main():
    torch.manual_seed(1234)
    train_it = DataLoader(phrases(1200), batch_size=40, shuffle=True)
    valid_it = DataLoader(phrases(300), batch_size=100)
    model = TextCNN()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    criterion = nn.CrossEntropyLoss()
    for epoch in range(5):
        train_loss = train(model, train_it, optimizer, criterion)
        valid_loss, valid_acc = evaluate(model, valid_it, criterion)
        print(f"Epoch: {epoch + 1:02} | Train Loss: {train_loss:.3f} | Val. Loss: {valid_loss:.3f} | Val. Acc: {valid_acc:.2%}")


if __name__ == "__main__":
    main()
