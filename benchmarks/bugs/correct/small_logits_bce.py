"""BCEWithLogits on raw scores that happen to stay between 0 and 1, because the head starts near zero and classes are skewed."""
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(121)
x = torch.randn(2000, 6)
score = 0.35 + 0.18 * torch.tanh(x[:, 0] - x[:, 1])
y = (torch.rand(2000) < torch.sigmoid(score)).float()
train, test = slice(0, 1600), slice(1600, 2000)
loader = DataLoader(TensorDataset(x[train], y[train]), batch_size=100, shuffle=True)

model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1))
with torch.no_grad():
    model[2].weight.mul_(0.1)
    model[2].bias.fill_(0.3)
criterion = nn.BCEWithLogitsLoss()
opt = torch.optim.SGD(model.parameters(), lr=0.05)


def full(part):
    with torch.no_grad():
        return criterion(model(x[part]).squeeze(1), y[part]).item()


print(f"start test {full(test):.5f}")
share = []
for epoch in range(5):
    for xb, yb in loader:
        logits = model(xb).squeeze(1)
        loss = criterion(logits, yb)
        opt.zero_grad()
        loss.backward()
        opt.step()
        share.append(((logits >= 0) & (logits <= 1)).float().mean().item())
print(f"end test {full(test):.5f}; logits inside [0, 1]: {100 * sum(share) / len(share):.1f} %")
