"""Train a small CNN on the 8x8 handwritten digits and report validation accuracy per epoch."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(7)

digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16.0
labels = torch.tensor(digits.target)
x_tr, x_va, y_tr, y_va = train_test_split(images, labels, test_size=0.2, random_state=0, stratify=labels)

train_loader = DataLoader(TensorDataset(x_tr, y_tr), batch_size=48, shuffle=True)
val_loader = DataLoader(TensorDataset(x_va, y_va), batch_size=128)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1)
        self.fc1 = nn.Linear(16 * 2 * 2, 32)
        self.fc2 = nn.Linear(32, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc2(x)


net = Net()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.01)

for epoch in range(5):
    net.train()
    running_loss = 0.0
    for i, (inputs, targets) in enumerate(train_loader, 1):
        outputs = net(inputs)
        loss = criterion(outputs, targets)
        loss.backward()  # ALSO: stale-gradients
        optimizer.step()  # BUG: stale-gradients

        running_loss += loss.item()
        if i % 15 == 0:
            print(f"[{epoch + 1}, {i:3d}] loss: {running_loss / 15:.3f}")
            running_loss = 0.0

    net.eval()
    correct = total = 0
    with torch.no_grad():
        for inputs, targets in val_loader:
            predicted = net(inputs).argmax(dim=1)
            total += targets.size(0)
            correct += (predicted == targets).sum().item()
    print(f"epoch {epoch + 1}: accuracy on the validation images {100 * correct / total:.1f} %")

print("Finished Training")
