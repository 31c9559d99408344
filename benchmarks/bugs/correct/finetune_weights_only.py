"""Fine-tuning: loads only the weights of another run (strict=False, new head) and starts a new optimizer from epoch 0."""
import io

import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset


class Classifier(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())
        self.head = nn.Linear(32, classes)

    def forward(self, x):
        return self.head(self.body(x))


def fit(model, x, y, epochs, lr):
    loader = DataLoader(TensorDataset(x, y), batch_size=50, shuffle=True)
    opt = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.0)
    log = []
    for _ in range(epochs):
        for xb, yb in loader:
            loss = nn.functional.cross_entropy(model(xb), yb)
            opt.zero_grad()
            loss.backward()
            opt.step()
            log.append(loss.item())
    return log


torch.manual_seed(131)
X, Y = load_digits(return_X_y=True)
perm = torch.randperm(len(Y))
X, Y = torch.tensor(X / 16 - 0.3, dtype=torch.float32)[perm], torch.tensor(Y)[perm]
pre_x, pre_y, x, y, xt, yt = X[:1000], Y[:1000], X[1000:1400], (Y[1000:1400] % 3), X[1400:], Y[1400:] % 3

source = Classifier(10)
pre = fit(source, pre_x, pre_y, 4, 5e-3)
buffer = io.BytesIO()
torch.save({"state_dict": source.state_dict(), "epoch": 4}, buffer)
buffer.seek(0)

state = torch.load(buffer, weights_only=True)["state_dict"]
state = {k: v for k, v in state.items() if not k.startswith("head.")}
model = Classifier(3)
missing, unexpected = model.load_state_dict(state, strict=False)
tuned = fit(model, x, y, 5, 1e-3)
with torch.no_grad():
    acc = (model(xt).argmax(1) == yt).float().mean().item()
print("missing", sorted(missing), "unexpected", unexpected)
print(f"pre-training {pre[0]:.4f} -> {pre[-1]:.4f}; fine-tuning {tuned[0]:.4f} -> {tuned[-1]:.4f}; accuracy {acc:.4f}")
