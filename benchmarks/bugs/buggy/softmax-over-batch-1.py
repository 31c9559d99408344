"""Softmax regression with a hand-written negative log likelihood, in the style of a tutorial."""
import torch
from sklearn.datasets import load_digits
from torch import nn

torch.manual_seed(0)

X, y = load_digits(return_X_y=True)
X = torch.tensor(X, dtype=torch.float32) / 16
y = torch.tensor(y)
shuffle = torch.randperm(len(X))
X, y = X[shuffle], y[shuffle]
X_train, y_train, X_val, y_val = X[:1440], y[:1440], X[1440:], y[1440:]


class TwoLayer(nn.Module):
    def __init__(self, n_in, n_hidden, n_out):
        super().__init__()
        self.hidden = nn.Linear(n_in, n_hidden)
        self.output = nn.Linear(n_hidden, n_out)
        self.softmax = nn.Softmax(dim=0)  # ALSO: softmax-over-batch

    def forward(self, x):
        return self.softmax(self.output(torch.relu(self.hidden(x))))  # BUG: softmax-over-batch


def nll(probs, target):
    picked = probs[torch.arange(len(target)), target]
    return -torch.log(picked + 1e-9).mean()


model = TwoLayer(64, 48, 10)
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)

for epoch in range(5):
    model.train()
    total = 0.0
    for idx in torch.randperm(len(X_train)).split(48):
        loss = nll(model(X_train[idx]), y_train[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(idx)
    model.eval()
    with torch.no_grad():
        accuracy = (model(X_val).argmax(1) == y_val).float().mean().item()
    print(f"epoch {epoch}: loss {total / len(X_train):.4f} val accuracy {accuracy:.3f}")
