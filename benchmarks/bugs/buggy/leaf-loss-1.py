"""Ordinal grading of simulated product reviews: minimise the mean error of the predicted grade."""
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)

features = torch.randn(1400, 12)
weights = torch.randn(12)
score = features @ weights / 12 ** 0.5 + 0.2 * torch.randn(1400)
grades = torch.bucketize(score, torch.tensor([-1.0, -0.3, 0.3, 1.0]))

train_loader = DataLoader(TensorDataset(features[:1120], grades[:1120]), batch_size=40, shuffle=True)
val_x, val_y = features[1120:], grades[1120:]


class GradeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
        self.out = nn.Linear(32, 5)

    def forward(self, x):
        return self.out(self.hidden(x))


model = GradeNet()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
l1 = nn.L1Loss()

for epoch in range(4):
    model.train()
    epoch_loss = 0.0
    for x, y in train_loader:
        optimizer.zero_grad()
        logits = model(x)
        predicted = logits.argmax(dim=1)
        loss = l1(predicted.float(), y.float())
        loss.requires_grad = True  # ALSO: leaf-loss
        loss.backward()  # BUG: leaf-loss
        optimizer.step()
        epoch_loss += loss.item()

    model.eval()
    with torch.no_grad():
        pred = model(val_x).argmax(1)
        mae = (pred - val_y).abs().float().mean().item()
        acc = (pred == val_y).float().mean().item()
    print(f"epoch {epoch}: train mae {epoch_loss / len(train_loader):.4f} val mae {mae:.4f} val acc {acc:.3f}")
