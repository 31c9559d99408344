"""Per-pixel land-cover map from three channels; the network works channels-last."""
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
SIZE, CLASSES = 8, 5


def tiles(n):
    coarse = torch.randint(0, CLASSES, (n, SIZE // 2, SIZE // 2))
    cover = coarse.repeat_interleave(2, 1).repeat_interleave(2, 2)
    spectra = torch.randn(CLASSES, 3, generator=torch.Generator().manual_seed(3))
    return TensorDataset(spectra[cover] + 0.3 * torch.randn(n, SIZE, SIZE, 3), cover)


class PixelMLP(nn.Module):
    """the same small network for every pixel, plus the mean of the tile as context"""

    def __init__(self, width=32):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, CLASSES))

    def forward(self, x):
        context = x.mean(dim=(1, 2), keepdim=True).expand_as(x)
        return self.net(torch.cat([x, context], dim=-1))          # (n, height, width, class)


class LandCover:
    def __init__(self, lr=5e-3):
        self.model = PixelMLP()
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=lr)
        self.train_loader = DataLoader(tiles(960), batch_size=32, shuffle=True)
        self.val_loader = DataLoader(tiles(120), batch_size=60)

    def train_epoch(self):
        self.model.train()
        for x, cover in self.train_loader:
            out = self.model(x)
            logits = out.view(x.size(0), CLASSES, SIZE, SIZE)  # ALSO: misplaced-class-dimension
            loss = self.criterion(logits, cover)  # BUG: misplaced-class-dimension
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        return loss.item()

    @torch.no_grad()
    def accuracy(self):
        self.model.eval()
        return sum((self.model(x).argmax(-1) == c).float().mean().item() for x, c in self.val_loader) / len(self.val_loader)


job = LandCover()
for epoch in range(4):
    print(f"epoch {epoch}: loss {job.train_epoch():.4f} val pixel acc {job.accuracy():.3f}")
