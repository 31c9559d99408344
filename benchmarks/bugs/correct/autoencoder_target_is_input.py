"""Denoising and plain autoencoder steps in turn: the plain step's target is the very tensor that went in."""
import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader


class AutoEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ELU(), nn.Conv2d(8, 12, 3, stride=2, padding=1), nn.ELU())
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(12, 8, 4, stride=2, padding=1), nn.ELU(),
            nn.ConvTranspose2d(8, 1, 4, stride=2, padding=1))

    def forward(self, x):
        return self.decoder(self.encoder(x))


class Trainer:
    def __init__(self, model, lr):
        self.model, self.opt, self.mse = model, torch.optim.Adam(model.parameters(), lr=lr), nn.MSELoss()

    def step(self, inp, target):
        self.opt.zero_grad()
        loss = self.mse(self.model(inp), target)
        loss.backward()
        self.opt.step()
        return loss.item()

    def fit(self, loader):
        total = 0.0
        for k, img in enumerate(loader):
            noisy = img + 0.2 * torch.randn_like(img) if k % 2 else img
            total += self.step(noisy, img)
        return total / len(loader)

    @torch.no_grad()
    def validate(self, x):
        return self.mse(self.model(x), x).item()


torch.manual_seed(124)
images = torch.tensor(load_digits().images / 16, dtype=torch.float32).unsqueeze(1)
images = (images - images.mean()) / images.std()
images = images[torch.randperm(len(images))]
trainer = Trainer(AutoEncoder(), 5e-3)
loader = DataLoader(images[:1500], batch_size=60, shuffle=True)
for epoch in range(4):
    print(f"epoch {epoch} train {trainer.fit(loader):.4f} valid {trainer.validate(images[1500:]):.4f}")
