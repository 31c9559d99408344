"""Variational autoencoder on binarised digits: sum-reduced BCE plus KL, KL warm-up from 0, sampling after training."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc21, self.fc22 = nn.Linear(64, 64), nn.Linear(64, 6), nn.Linear(64, 6)
        self.fc3, self.fc4 = nn.Linear(6, 64), nn.Linear(64, 64)

    def encode(self, x):
        h = F.relu(self.fc1(x))
        return self.fc21(h), self.fc22(h)

    def reparameterize(self, mu, logvar):
        return mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)

    def decode(self, z):
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z))))

    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


def loss_function(recon, x, mu, logvar, weight):
    bce = F.binary_cross_entropy(recon, x, reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return bce + weight * kld, kld.item()


torch.manual_seed(116)
x = (torch.tensor(load_digits().data) > 7).float()
x = x[torch.randperm(len(x))]
train, test = DataLoader(x[:1500], batch_size=100, shuffle=True), x[1500:]
model = VAE()
optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
for epoch in range(6):
    model.train()
    total = kl_total = 0.0
    for batch in train:
        optimizer.zero_grad()
        recon, mu, logvar = model(batch)
        loss, kl = loss_function(recon, batch, mu, logvar, weight=min(1.0, epoch / 3))
        loss.backward()
        optimizer.step()
        total += loss.item() / 1500
        kl_total += kl / 1500
    model.eval()
    with torch.no_grad():
        recon, mu, logvar = model(test)
        value, _ = loss_function(recon, test, mu, logvar, 1.0)
    print(f"epoch {epoch} train {total:.3f} (kl {kl_total:.3f}) test {value.item() / len(test):.3f}")
with torch.no_grad():
    print("mean ink of samples", round(model.decode(torch.randn(200, 6)).mean().item(), 3), "of data", round(x.mean().item(), 3))
