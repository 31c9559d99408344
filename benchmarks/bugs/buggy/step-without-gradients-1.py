"""Adversarial generation of sine snippets: 1-D convolutional discriminator, MLP generator."""
import math

import torch
from torch import nn

torch.manual_seed(11)
SEQ = 32
LATENT = 6


def real_batch(n):
    phase = 2 * math.pi * torch.rand(n, 1)
    freq = 1 + torch.rand(n, 1)
    t = torch.linspace(0, 1, SEQ)
    return torch.sin(2 * math.pi * freq * t + phase)


netG = nn.Sequential(nn.Linear(LATENT, 64), nn.ReLU(), nn.Linear(64, SEQ), nn.Tanh())


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv1d(1, 8, 5, stride=2, padding=2), nn.LeakyReLU(0.2),
            nn.Conv1d(8, 16, 5, stride=2, padding=2), nn.LeakyReLU(0.2),
        )
        self.fc = nn.Linear(16 * SEQ // 4, 1)

    def forward(self, x):
        return self.fc(self.conv(x.unsqueeze(1)).flatten(1)).squeeze(1)


netD = Critic()
bce = nn.BCEWithLogitsLoss()
optG = torch.optim.Adam(netG.parameters(), lr=1e-3, betas=(0.5, 0.999))
optD = torch.optim.Adam(netD.parameters(), lr=4e-4, betas=(0.5, 0.999))


def d_step(real, fake):
    optD.zero_grad()
    out_real, out_fake = netD(real), netD(fake.detach())
    loss = bce(out_real, torch.ones_like(out_real)) + bce(out_fake, torch.zeros_like(out_fake))
    loss.backward()
    optD.step()
    return loss.item()


def g_step(fake):
    optG.zero_grad()
    out = netD(fake.detach())  # ALSO: step-without-gradients
    loss = bce(out, torch.ones_like(out))
    loss.backward()  # ALSO: step-without-gradients
    optG.step()  # BUG: step-without-gradients
    return loss.item()


for step in range(1, 121):
    fake = netG(torch.randn(64, LATENT))
    d_loss = d_step(real_batch(64), fake)
    g_loss = g_step(fake)
    if step % 20 == 0:
        print(f"step {step:4d}  D {d_loss:.3f}  G {g_loss:.3f}")

with torch.no_grad():
    samples = netG(torch.randn(256, LATENT))
print("sample mean/std:", round(samples.mean().item(), 3), round(samples.std().item(), 3))
