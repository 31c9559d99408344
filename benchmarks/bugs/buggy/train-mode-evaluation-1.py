"""Four-class tabular classifier with strong dropout and batch norm."""
import torch
import torch.nn as nn
from sklearn.datasets import make_classification
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(9)

X, y = make_classification(n_samples=1600, n_features=20, n_informative=10, n_classes=4, class_sep=1.5, random_state=9)
X = torch.tensor((X - X[:1280].mean(0)) / X[:1280].std(0), dtype=torch.float32)
y = torch.tensor(y)
train_set, val_set = TensorDataset(X[:1280], y[:1280]), TensorDataset(X[1280:], y[1280:])
train_loader = DataLoader(train_set, batch_size=40, shuffle=True)
val_loader = DataLoader(val_set, batch_size=64)

model = nn.Sequential(
    nn.Linear(20, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.4),
    nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.4),
    nn.Linear(64, 4),
)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)

best_acc = 0.0
for epoch in range(5):
    model.train()
    for inputs, labels in train_loader:
        optimizer.zero_grad()
        loss = criterion(model(inputs), labels)
        loss.backward()
        optimizer.step()

    val_loss, correct = 0.0, 0
    with torch.no_grad():
        for inputs, labels in val_loader:
            outputs = model(inputs)  # BUG: train-mode-evaluation
            val_loss += criterion(outputs, labels).item() * len(labels)
            correct += (outputs.argmax(1) == labels).sum().item()
    val_acc = correct / len(val_set)
    best_acc = max(best_acc, val_acc)
    print(f"epoch {epoch + 1}: train loss {loss.item():.4f}, val loss {val_loss / len(val_set):.4f}, val acc {val_acc:.4f}")

print(f"best validation accuracy: {best_acc:.4f}")
