"""Small-sample classifier that restores the weights of its best epoch at the end."""
import torch
import torch.nn as nn
from sklearn.datasets import make_classification
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)

X, y = make_classification(700, 20, n_informative=5, flip_y=0.15, random_state=11)
X = torch.tensor((X - X[:400].mean(0)) / X[:400].std(0), dtype=torch.float32)
y = torch.tensor(y)
train_loader = DataLoader(TensorDataset(X[:400], y[:400]), batch_size=25, shuffle=True)
X_val, y_val, X_test, y_test = X[400:550], y[400:550], X[550:], y[550:]


def evaluate(model, X, y):
    model.eval()
    with torch.no_grad():
        logits = model(X)
    return nn.functional.cross_entropy(logits, y).item(), (logits.argmax(1) == y).float().mean().item()


model = nn.Sequential(nn.Linear(20, 96), nn.ReLU(), nn.Linear(96, 96), nn.ReLU(), nn.Linear(96, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
criterion = nn.CrossEntropyLoss()

best_val, best_weights, best_epoch = float("inf"), None, -1
for epoch in range(9):
    model.train()
    for xb, yb in train_loader:
        loss = criterion(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    val_loss, val_acc = evaluate(model, X_val, y_val)
    if val_loss < best_val:
        best_val, best_epoch = val_loss, epoch
        best_weights = model.state_dict()  # BUG: aliased-checkpoint
    print(f"epoch {epoch}: train {loss.item():.4f} val {val_loss:.4f} acc {val_acc:.3f}")

model.load_state_dict(best_weights)  # ALSO: aliased-checkpoint
test_loss, test_acc = evaluate(model, X_test, y_test)
print(f"best epoch {best_epoch} (val {best_val:.4f}): test loss {test_loss:.4f} acc {test_acc:.3f}")
