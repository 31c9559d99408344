"""U-Net-like segmentation of rings with batch norm; the Dice score picks the best epoch."""
import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


class DoubleConv(nn.Sequential):
    def __init__(self, i, o):
        super().__init__(
            nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU(inplace=True),
            nn.Conv2d(o, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU(inplace=True))


class MiniUNet(nn.Module):
    def __init__(self, c=6):
        super().__init__()
        self.inc, self.down = DoubleConv(1, c), DoubleConv(c, 2 * c)
        self.up = nn.ConvTranspose2d(2 * c, c, 2, stride=2)
        self.dec = DoubleConv(2 * c, c)
        self.drop = nn.Dropout2d(0.2)
        self.outc = nn.Conv2d(c, 1, 1)

    def forward(self, x):
        a = self.inc(x)
        b = self.drop(self.down(F.max_pool2d(a, 2)))
        return self.outc(self.dec(torch.cat([a, self.up(b)], 1)))


def rings(n, size=16):
    yy, xx = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    c = 5 + 6 * torch.rand(2, n, 1, 1)
    r = 3 + 2 * torch.rand(n, 1, 1)
    d = ((xx - c[0]) ** 2 + (yy - c[1]) ** 2).sqrt()
    mask = ((d - r).abs() < 1.0).float().unsqueeze(1)
    return TensorDataset(mask * 2 - 0.5 + 0.8 * torch.randn(n, 1, size, size), mask)


@torch.inference_mode()
def evaluate(net, dataloader):
    scores = []
    for image, mask in dataloader:
        pred = (net(image) > 0).float()  # BUG: train-mode-evaluation
        scores.append((2 * (pred * mask).sum() / (pred.sum() + mask.sum()).clamp(min=1)).item())
    return sum(scores) / len(scores)


def train_net(net, args):
    train_loader = DataLoader(rings(480), batch_size=args.batch_size, shuffle=True)
    val_loader = DataLoader(rings(96), batch_size=16)
    optimizer = torch.optim.Adam(net.parameters(), lr=args.lr)
    best = 0.0
    for epoch in range(args.epochs):
        net.train()
        for image, mask in train_loader:
            loss = F.binary_cross_entropy_with_logits(net(image), mask)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        val_score = evaluate(net, val_loader)
        best = max(best, val_score)
        print(f"epoch {epoch}: loss {loss.item():.4f} dice {val_score:.4f}")
    print("best dice", round(best, 4))


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("--epochs", type=int, default=4)
    ap.add_argument("--batch-size", type=int, default=16)
    ap.add_argument("--lr", type=float, default=3e-3)
    torch.manual_seed(0)
    train_net(MiniUNet(), ap.parse_args())
