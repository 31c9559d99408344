"""Image classification with a preprocessing class for training and one for validation."""
import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.utils.data import DataLoader, Dataset


class DigitImages(Dataset):
    def __init__(self, images, labels, train):
        self.images, self.labels, self.train = images, labels, train

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        x = torch.tensor(self.images[i], dtype=torch.float32)[None]
        if self.train:
            x = x + 0.5 * torch.randn_like(x)
            x = (x - 4.88) / 6.02                 # mean and std of the training pixels
        else:
            x = x / 16.0  # BUG: mismatched-preprocessing
        return x, int(self.labels[i])


class SmallCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.stage1 = nn.Sequential(nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.stage2 = nn.Sequential(nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.fc = nn.Linear(96, 10)

    def forward(self, x):
        return self.fc(self.stage2(self.stage1(x)).flatten(1))


def fit_one_epoch(model, loader, loss_fn, opt):
    model.train()
    for x, y in loader:
        opt.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        opt.step()
    return loss.item()


@torch.no_grad()
def score(model, loader):
    model.eval()
    hits = total = 0
    for x, y in loader:  # ALSO: mismatched-preprocessing
        hits += (model(x).argmax(1) == y).sum().item()
        total += len(y)
    return hits / total


def main():
    torch.manual_seed(0)
    d = load_digits()
    im_tr, im_va, y_tr, y_va = train_test_split(d.images, d.target, test_size=0.2, random_state=0, stratify=d.target)
    train_loader = DataLoader(DigitImages(im_tr, y_tr, train=True), batch_size=48, shuffle=True)
    val_loader = DataLoader(DigitImages(im_va, y_va, train=False), batch_size=120)
    model = SmallCNN()
    opt = torch.optim.Adam(model.parameters(), lr=2e-3)
    for epoch in range(4):
        loss = fit_one_epoch(model, train_loader, nn.CrossEntropyLoss(), opt)
        print(f"epoch {epoch}: loss {loss:.4f} val acc {score(model, val_loader):.3f}")


if __name__ == "__main__":
    main()
