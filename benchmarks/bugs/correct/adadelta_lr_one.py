"""Digits CNN with Adadelta at learning rate 1.0 and StepLR by epoch, as in the classic example, log-softmax and NLL."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, 1)
        self.conv2 = nn.Conv2d(8, 16, 3, 1)
        self.dropout1, self.dropout2 = nn.Dropout(0.25), nn.Dropout(0.25)
        self.fc1, self.fc2 = nn.Linear(64, 32), nn.Linear(32, 10)

    def forward(self, x):
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        x = self.dropout1(F.max_pool2d(x, 2))
        x = self.dropout2(F.relu(self.fc1(torch.flatten(x, 1))))
        return F.log_softmax(self.fc2(x), dim=1)


def train(model, loader, optimizer):
    model.train()
    total = 0.0
    for data, target in loader:
        optimizer.zero_grad()
        loss = F.nll_loss(model(data), target)
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(loader)


def test(model, loader):
    model.eval()
    loss, correct = 0.0, 0
    with torch.no_grad():
        for data, target in loader:
            output = model(data)
            loss += F.nll_loss(output, target, reduction="sum").item()
            correct += output.argmax(dim=1, keepdim=True).eq(target.view_as(output.argmax(dim=1, keepdim=True))).sum().item()
    return loss / len(loader.dataset), correct / len(loader.dataset)


torch.manual_seed(37)
d = load_digits()
images = torch.tensor((d.images - 4.88) / 6.0, dtype=torch.float32).unsqueeze(1)
labels = torch.tensor(d.target)
cut = torch.randperm(len(labels))
train_loader = DataLoader(TensorDataset(images[cut[:1400]], labels[cut[:1400]]), batch_size=64, shuffle=True)
test_loader = DataLoader(TensorDataset(images[cut[1400:]], labels[cut[1400:]]), batch_size=200)
model = Net()
optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)
for epoch in range(1, 4):
    tr = train(model, train_loader, optimizer)
    te, acc = test(model, test_loader)
    scheduler.step()
    print(f"{epoch}: train {tr:.4f} test {te:.4f} acc {acc:.4f}")
