"""Digit recognition with a LeNet and label smoothing, Accelerate version."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from accelerate import Accelerator
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset, random_split


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1)
        self.fc1 = nn.Linear(64, 48)
        self.fc2 = nn.Linear(48, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(x.flatten(1)))
        x = F.relu(self.fc2(x))  # ALSO: rectified-logits
        return x


def main():
    torch.manual_seed(4)
    accelerator = Accelerator(cpu=True)
    d = load_digits()
    dataset = TensorDataset(torch.tensor(d.images).float().unsqueeze(1) / 16, torch.tensor(d.target))
    train_set, val_set = random_split(dataset, [1440, 357])
    model = LeNet()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    model, optimizer, train_dl, val_dl = accelerator.prepare(
        model, optimizer, DataLoader(train_set, batch_size=48, shuffle=True), DataLoader(val_set, batch_size=119))
    criterion = nn.CrossEntropyLoss(label_smoothing=0.05)

    for epoch in range(4):
        model.train()
        for images, labels in train_dl:
            optimizer.zero_grad()
            loss = criterion(model(images), labels)  # BUG: rectified-logits
            accelerator.backward(loss)
            optimizer.step()
        model.eval()
        hits = 0
        for images, labels in val_dl:
            with torch.no_grad():
                hits += (model(images).argmax(1) == labels).sum().item()
        accelerator.print(f"epoch {epoch}: loss {loss.item():.4f} val acc {hits / len(val_set):.3f}")


if __name__ == "__main__":
    main()
