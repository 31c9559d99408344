"""Accelerate with two models and two optimizers (a GAN); D's gradients from G's backward are cleared before D's step."""
import torch
import torch.nn as nn
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch.utils.data import DataLoader

set_seed(194)
accelerator = Accelerator(cpu=True)
data = torch.randn(1280, 1) * 0.4 + 2.0
loader = DataLoader(data, batch_size=64, shuffle=True)
netG = nn.Sequential(nn.Linear(4, 24), nn.LeakyReLU(0.1), nn.Linear(24, 1))
netD = nn.Sequential(nn.Linear(1, 24), nn.LeakyReLU(0.1), nn.Linear(24, 1))
optG = torch.optim.Adam(netG.parameters(), lr=1e-3, betas=(0.5, 0.9))
optD = torch.optim.Adam(netD.parameters(), lr=1e-3, betas=(0.5, 0.9))
netG, netD, optG, optD, loader = accelerator.prepare(netG, netD, optG, optD, loader)
softplus = nn.functional.softplus

rows = []
for epoch in range(12):
    for real in loader:
        z = torch.randn(len(real), 4)
        fake = netG(z)
        optG.zero_grad()
        g_loss = softplus(-netD(fake)).mean()
        accelerator.backward(g_loss)
        optG.step()

        optD.zero_grad()
        d_loss = softplus(-netD(real)).mean() + softplus(netD(fake.detach())).mean()
        accelerator.backward(d_loss)
        optD.step()
        rows.append((g_loss.item(), d_loss.item(), fake.mean().item()))

for k in (0, 80, 160, len(rows) - 1):
    accelerator.print("batch %3d: G %.4f D %.4f mean of fakes %.3f" % (k, *rows[k]))
