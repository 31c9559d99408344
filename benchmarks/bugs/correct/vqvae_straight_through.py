"""VQ-VAE: straight-through estimator, stop-gradients in codebook and commitment terms, few codes used per batch."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits


class Quantizer(nn.Module):
    def __init__(self, codes, dim, beta=0.25):
        super().__init__()
        self.book = nn.Embedding(codes, dim)
        nn.init.uniform_(self.book.weight, -0.5, 0.5)
        self.beta = beta

    def forward(self, z):
        flat = z.reshape(-1, z.shape[-1])
        distance = flat.pow(2).sum(1, keepdim=True) - 2 * flat @ self.book.weight.t() + self.book.weight.pow(2).sum(1)
        index = distance.argmin(1)
        q = self.book(index).view_as(z)
        loss = F.mse_loss(q, z.detach()) + self.beta * F.mse_loss(z, q.detach())
        return z + (q - z).detach(), loss, index


class VQVAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32))
        self.vq = Quantizer(24, 4)
        self.dec = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64))

    def forward(self, x):
        z = self.enc(x).view(len(x), 8, 4)
        q, loss, index = self.vq(z)
        return self.dec(q.flatten(1)), loss, index


torch.manual_seed(65)
x = torch.tensor(load_digits().data / 16 - 0.3, dtype=torch.float32)
x = x[torch.randperm(len(x))]
train, valid = x[:1500], x[1500:]
model = VQVAE()
opt = torch.optim.Adam(model.parameters(), lr=3e-3)
for epoch in range(5):
    rec_sum = vq_sum = 0.0
    for idx in torch.randperm(1500).split(75):
        out, vq, _ = model(train[idx])
        rec = F.mse_loss(out, train[idx])
        opt.zero_grad()
        (rec + vq).backward()
        opt.step()
        rec_sum += rec.item() / 20
        vq_sum += vq.item() / 20
    with torch.no_grad():
        out, _, index = model(valid)
        v = F.mse_loss(out, valid).item()
    print(f"epoch {epoch} rec {rec_sum:.4f} vq {vq_sum:.4f} valid {v:.4f} codes {index.unique().numel()}")
