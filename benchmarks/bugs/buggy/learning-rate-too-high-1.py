"""Convolutional digit classifier with stochastic gradient descent and momentum."""
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

LEARNING_RATE = 1.5
MOMENTUM = 0.9
BATCH = 32
EPOCHS = 3

torch.manual_seed(0)
raw = load_digits()
dataset = TensorDataset(torch.tensor(raw.images, dtype=torch.float32)[:, None] / 16, torch.tensor(raw.target))
train_ds, val_ds = random_split(dataset, [1500, 297])
train_dl = DataLoader(train_ds, batch_size=BATCH, shuffle=True)
val_dl = DataLoader(val_ds, batch_size=99)


class ConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.block1 = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2))
        self.block2 = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2))
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        return self.head(self.block2(self.block1(x)).flatten(1))


model = ConvNet()
loss_func = nn.CrossEntropyLoss()
opt = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)  # ALSO: learning-rate-too-high

for epoch in range(EPOCHS):
    model.train()
    for step, (xb, yb) in enumerate(train_dl):
        loss = loss_func(model(xb), yb)
        opt.zero_grad()
        loss.backward()
        opt.step()  # BUG: learning-rate-too-high
        if step % 15 == 0:
            print(f"Epoch {epoch} step {step:3d} loss {loss.item():.3f}")
    model.eval()
    with torch.no_grad():
        val_loss = sum(loss_func(model(xb), yb).item() for xb, yb in val_dl) / len(val_dl)
        val_acc = sum((model(xb).argmax(1) == yb).sum().item() for xb, yb in val_dl) / len(val_ds)
    print(f"Epoch {epoch} validation loss {val_loss:.3f} accuracy {val_acc:.3f}")
