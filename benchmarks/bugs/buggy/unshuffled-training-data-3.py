"""Iris-like flower data from a sorted table, mini-batches cut by hand."""
import numpy as np
import torch
from torch import nn

rng = np.random.default_rng(0)
torch.manual_seed(0)

# measurements come species by species
species = np.repeat(np.arange(3), 400)
mean = np.array([[5.0, 3.4, 1.5, 0.2], [5.9, 2.8, 4.3, 1.3], [6.6, 3.0, 5.5, 2.0]])
table = mean[species] + rng.normal(0, [0.45, 0.35, 0.4, 0.2], size=(1200, 4))

val_mask = rng.random(1200) < 0.2
X = (table - table[~val_mask].mean(0)) / table[~val_mask].std(0)
X_train, y_train = torch.tensor(X[~val_mask], dtype=torch.float32), torch.tensor(species[~val_mask])
X_val, y_val = torch.tensor(X[val_mask], dtype=torch.float32), torch.tensor(species[val_mask])


class FlowerNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(4, 24)
        self.fc2 = nn.Linear(24, 3)

    def forward(self, x):
        return self.fc2(torch.tanh(self.fc1(x)))


model = FlowerNet()
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
batch_size, n_epochs = 32, 5

for epoch in range(n_epochs):
    model.train()
    for start in range(0, len(X_train), batch_size):
        X_batch = X_train[start:start + batch_size]  # BUG: unshuffled-training-data
        y_batch = y_train[start:start + batch_size]  # ALSO: unshuffled-training-data
        loss = loss_fn(model(X_batch), y_batch)  # ALSO: unshuffled-training-data
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        val_logits = model(X_val)
        val_loss = loss_fn(val_logits, y_val).item()
        acc = (val_logits.argmax(1) == y_val).float().mean().item()
    print(f"epoch {epoch}: last batch loss {loss.item():.4f} val loss {val_loss:.4f} val acc {acc:.3f}")
