"""DCGAN-style loop: D gets two backwards (real, fake) and one step, then G; both cleared through the module."""
import torch
import torch.nn as nn
from sklearn.datasets import load_digits

torch.manual_seed(11)
images = torch.tensor(load_digits().images, dtype=torch.float32).unsqueeze(1) / 8.0 - 1.0
images = images[torch.tensor(load_digits().target) < 2]


class Generator(nn.Module):
    def __init__(self, nz=8, ngf=8):
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(nz, ngf * 2, 2, 1, 0, bias=False), nn.BatchNorm2d(ngf * 2), nn.ReLU(True),
            nn.ConvTranspose2d(ngf * 2, ngf, 4, 2, 1, bias=False), nn.BatchNorm2d(ngf), nn.ReLU(True),
            nn.ConvTranspose2d(ngf, 1, 4, 2, 1), nn.Tanh())

    def forward(self, z):
        return self.main(z)


class Discriminator(nn.Module):
    def __init__(self, ndf=8):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(1, ndf, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf, ndf * 2, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True), nn.Conv2d(ndf * 2, 1, 2))

    def forward(self, x):
        return self.main(x).view(-1)


netG, netD = Generator(), Discriminator()
criterion = nn.BCEWithLogitsLoss()
optimizerD = torch.optim.Adam(netD.parameters(), lr=1e-3, betas=(0.5, 0.999))
optimizerG = torch.optim.Adam(netG.parameters(), lr=2e-3, betas=(0.5, 0.999))

history = []
for epoch in range(6):
    for idx in torch.randperm(len(images)).split(32):
        b = len(idx)
        # maximize log D(x) + log(1 - D(G(z)))
        netD.zero_grad()
        errD_real = criterion(netD(images[idx]), torch.full((b,), 0.9))
        errD_real.backward()
        fake = netG(torch.randn(b, 8, 1, 1))
        errD_fake = criterion(netD(fake.detach()), torch.zeros(b))
        errD_fake.backward()
        optimizerD.step()
        # maximize log D(G(z))
        netG.zero_grad()
        errG = criterion(netD(fake), torch.ones(b))
        errG.backward()
        optimizerG.step()
        history.append((errD_real.item() + errD_fake.item(), errG.item()))

print("first  D %.4f G %.4f" % history[0])
print("last   D %.4f G %.4f" % history[-1])
