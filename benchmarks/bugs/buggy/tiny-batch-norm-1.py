"""Classifier for high-dimensional gene-expression-like data, batches of two because of memory."""
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
BATCH_SIZE = 2  # ALSO: tiny-batch-norm

n, genes = 300, 200
signature = torch.randn(3, genes) * (torch.rand(3, genes) < 0.1)
labels = torch.randint(0, 3, (n,))
expression = torch.randn(n, genes) + signature[labels]

train_loader = DataLoader(TensorDataset(expression[:240], labels[:240]), batch_size=BATCH_SIZE, shuffle=True)
val_loader = DataLoader(TensorDataset(expression[240:], labels[240:]), batch_size=60)


class GeneNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(genes, 64)
        self.bn1 = nn.BatchNorm1d(64)
        self.fc2 = nn.Linear(64, 32)
        self.bn2 = nn.BatchNorm1d(32)
        self.fc3 = nn.Linear(32, 3)

    def forward(self, x):
        x = torch.relu(self.bn1(self.fc1(x)))  # BUG: tiny-batch-norm
        x = torch.relu(self.bn2(self.fc2(x)))  # ALSO: tiny-batch-norm
        return self.fc3(x)


net = GeneNet()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(net.parameters(), lr=5e-4)
for epoch in range(2):
    net.train()
    total = 0.0
    for x, y in train_loader:
        optimizer.zero_grad()
        loss = criterion(net(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item()
    net.eval()
    with torch.no_grad():
        acc = sum((net(x).argmax(1) == y).sum().item() for x, y in val_loader) / 60
    print(f"epoch {epoch}: loss {total / len(train_loader):.4f} val acc {acc:.3f}")
