"""Multi-layer perceptron on digits with accumulated batches and a per-epoch validation pass."""
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

torch.manual_seed(21)
X, y = load_digits(return_X_y=True)
X_train, X_val, y_train, y_val = train_test_split(X / 16.0, y, test_size=360, random_state=4, stratify=y)
X_train, X_val = (torch.tensor(a, dtype=torch.float32) for a in (X_train, X_val))
y_train, y_val = torch.tensor(y_train), torch.tensor(y_val)

batch_size, accumulation, epochs = 20, 6, 8
loader = torch.utils.data.DataLoader(
    torch.utils.data.TensorDataset(X_train, y_train), batch_size=batch_size, shuffle=True, drop_last=True)

mlp = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 10))
opt = torch.optim.SGD(mlp.parameters(), lr=0.3, momentum=0.9)

for epoch in range(1, epochs + 1):
    mlp.train()
    opt.zero_grad()  # BUG: leftover-accumulation
    seen = correct = 0
    for i, (xb, yb) in enumerate(loader, start=1):
        logits = mlp(xb)
        loss = F.cross_entropy(logits, yb) / accumulation
        loss.backward()
        if i % accumulation == 0:
            opt.step()  # ALSO: leftover-accumulation
            opt.zero_grad()
        seen += len(yb)
        correct += (logits.argmax(1) == yb).sum().item()

    mlp.eval()
    with torch.no_grad():
        val_logits = mlp(X_val)
        val_loss = F.cross_entropy(val_logits, y_val).item()
        val_acc = (val_logits.argmax(1) == y_val).float().mean().item()
    print(f"{epoch:2d}/{epochs}  train acc {correct / seen:.3f}  val loss {val_loss:.3f}  val acc {val_acc:.3f}")
