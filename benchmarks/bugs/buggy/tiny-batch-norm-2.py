"""Dense prediction with an image-level pooling branch (as in DeepLab), two images per batch."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


class ImagePooling(nn.Sequential):
    def __init__(self, c_in, c_out):
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU())

    def forward(self, x):
        size = x.shape[-2:]
        for module in self:
            x = module(x)  # BUG: tiny-batch-norm
        return x.expand(-1, -1, *size)


class ASPPHead(nn.Module):
    def __init__(self, c=12, classes=3):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, c, 3, padding=1), nn.GroupNorm(3, c), nn.ReLU())
        self.rate1 = nn.Conv2d(c, c, 3, padding=1)
        self.rate2 = nn.Conv2d(c, c, 3, padding=3, dilation=3)
        self.pool = ImagePooling(c, c)
        self.project = nn.Conv2d(3 * c, classes, 1)

    def forward(self, x):
        h = self.stem(x)
        branches = [F.relu(self.rate1(h)), F.relu(self.rate2(h)), self.pool(h)]  # ALSO: tiny-batch-norm
        return self.project(torch.cat(branches, 1))


def scenes(n, size=16):
    masks = torch.zeros(n, size, size, dtype=torch.long)
    for i in range(n):
        for cls in (1, 2):
            r, c = torch.randint(0, size - 6, (2,)).tolist()
            masks[i, r:r + 6, c:c + 6] = cls
    x = masks.float().unsqueeze(1) - 0.5 + 0.4 * torch.randn(n, 1, size, size)
    return TensorDataset(x, masks)


def pixel_accuracy(net, loader):
    net.eval()
    with torch.no_grad():
        return sum((net(x).argmax(1) == m).float().mean().item() for x, m in loader) / len(loader)


def main():
    torch.manual_seed(0)
    train_loader = DataLoader(scenes(140), batch_size=2, shuffle=True)
    val_loader = DataLoader(scenes(40), batch_size=20)
    net = ASPPHead()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
    for epoch in range(3):
        net.train()
        for x, mask in train_loader:
            loss = F.cross_entropy(net(x), mask)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch}: loss {loss.item():.4f} val pixel acc {pixel_accuracy(net, val_loader):.3f}")


if __name__ == "__main__":
    main()
