"""Super-resolution of small digits with a sub-pixel convolution network."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset, random_split

torch.manual_seed(0)

high = torch.tensor(load_digits().images, dtype=torch.float32).unsqueeze(1) / 16
low = F.avg_pool2d(high, 2)
train_set, val_set = random_split(TensorDataset(low, high), [1500, 297])
train_loader = DataLoader(train_set, batch_size=50, shuffle=True)
val_loader = DataLoader(val_set, batch_size=99)


class SubPixelNet(nn.Module):
    def __init__(self, scale=2, c=16):
        super().__init__()
        self.conv1 = nn.Conv2d(1, c, 3, padding=1)
        self.conv2 = nn.Conv2d(c, c, 3, padding=1)
        self.conv3 = nn.Conv2d(c, scale ** 2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, x):
        h = F.relu(self.conv1(x))
        h = F.relu(self.conv2(h))
        return self.shuffle(self.conv3(h)) + F.interpolate(x, scale_factor=2)


def psnr(model):
    model.eval()
    with torch.no_grad():
        mse = sum(F.mse_loss(model(l), h).item() for l, h in val_loader) / len(val_loader)
    return -10 * torch.log10(torch.tensor(mse)).item()


model = SubPixelNet()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)

# quick look at the shapes
low_res, high_res = next(iter(train_loader))  # ALSO: repeated-batch
print(low_res.shape, "->", high_res.shape)

for epoch in range(4):
    model.train()
    total = 0.0
    for _ in range(len(train_loader)):
        optimizer.zero_grad()
        loss = F.mse_loss(model(low_res), high_res)  # BUG: repeated-batch
        loss.backward()
        optimizer.step()
        total += loss.item()
    print(f"epoch {epoch}: train {total / len(train_loader):.5f} val psnr {psnr(model):.2f} dB")
