"""Semantic segmentation of random rectangles; small batches are accumulated to fit in memory."""
import torch
from torch import nn, optim
from torch.utils.data import DataLoader, Dataset, random_split


class Rectangles(Dataset):
    def __init__(self, n, size=16, seed=0):
        g = torch.Generator().manual_seed(seed)
        self.masks = torch.zeros(n, 1, size, size)
        for m in self.masks:
            x0, y0 = torch.randint(0, size // 2, (2,), generator=g).tolist()
            w, h = torch.randint(3, size // 2, (2,), generator=g).tolist()
            m[0, y0:y0 + h, x0:x0 + w] = 1
        self.images = self.masks - 0.5 + 0.4 * torch.randn(self.masks.shape, generator=g)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return self.images[i], self.masks[i]


class UNetLite(nn.Module):
    def __init__(self, c=8):
        super().__init__()
        self.enc = nn.Sequential(nn.Conv2d(1, c, 3, padding=1), nn.ReLU())
        self.down = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(c, 2 * c, 3, padding=1), nn.ReLU())
        self.up = nn.ConvTranspose2d(2 * c, c, 2, stride=2)
        self.out = nn.Conv2d(2 * c, 1, 1)

    def forward(self, x):
        e = self.enc(x)
        u = self.up(self.down(e))
        return self.out(torch.cat([e, u], dim=1))


class SegTrainer:
    def __init__(self, model, train_set, val_set, accumulation_steps=8):
        self.model = model
        self.accumulation_steps = accumulation_steps
        self.train_loader = DataLoader(train_set, batch_size=4, shuffle=True)
        self.val_loader = DataLoader(val_set, batch_size=32)
        self.optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        self.loss_fn = nn.BCEWithLogitsLoss()

    def train_epoch(self):
        self.model.train()
        self.optimizer.zero_grad()
        total = 0.0
        for i, (image, mask) in enumerate(self.train_loader):
            loss = self.loss_fn(self.model(image), mask)
            loss.backward()  # BUG: unscaled-accumulation
            total += loss.item()
            if (i + 1) % self.accumulation_steps == 0:
                self.optimizer.step()  # ALSO: unscaled-accumulation
                self.optimizer.zero_grad()
        return total / len(self.train_loader)

    @torch.no_grad()
    def dice(self):
        self.model.eval()
        inter = union = 0.0
        for image, mask in self.val_loader:
            pred = (self.model(image) > 0).float()
            inter += 2 * (pred * mask).sum().item()
            union += pred.sum().item() + mask.sum().item()
        return inter / union

    def run(self, epochs):
        for e in range(epochs):
            print(f"epoch {e}: loss {self.train_epoch():.4f} dice {self.dice():.4f}")


torch.manual_seed(0)
train_set, val_set = random_split(Rectangles(640), [512, 128], generator=torch.Generator().manual_seed(1))
SegTrainer(UNetLite(), train_set, val_set).run(5)
