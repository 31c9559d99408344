"""GAN that learns to draw points from a ring of eight Gaussians."""
import argparse
import math

import torch
import torch.nn as nn


def parse_args():
    p = argparse.ArgumentParser()
    p.add_argument("--iters", type=int, default=150)
    p.add_argument("--batch-size", type=int, default=128)
    p.add_argument("--latent-dim", type=int, default=8)
    p.add_argument("--lr", type=float, default=5e-4)
    p.add_argument("--b1", type=float, default=0.5)
    p.add_argument("--seed", type=int, default=3)
    return p.parse_args()


def sample_ring(n):
    k = torch.randint(0, 8, (n,))
    angle = 2 * math.pi * k / 8
    centers = torch.stack([angle.cos(), angle.sin()], dim=1)
    return centers + 0.05 * torch.randn(n, 2)


class Generator(nn.Module):
    def __init__(self, latent_dim):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(latent_dim, 64), nn.ReLU(),
            nn.Linear(64, 64), nn.ReLU(),
            nn.Linear(64, 2),
        )

    def forward(self, z):
        return self.net(z)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(2, 64), nn.LeakyReLU(0.2),
            nn.Linear(64, 64), nn.LeakyReLU(0.2),
            nn.Linear(64, 1),
        )

    def forward(self, x):
        return self.net(x)


def main():
    opt = parse_args()
    torch.manual_seed(opt.seed)
    generator = Generator(opt.latent_dim)
    discriminator = Discriminator()
    adversarial_loss = nn.BCEWithLogitsLoss()
    optimizer_G = torch.optim.Adam(generator.parameters(), lr=opt.lr, betas=(opt.b1, 0.999))
    optimizer_D = torch.optim.Adam(discriminator.parameters(), lr=opt.lr, betas=(opt.b1, 0.999))
    valid = torch.ones(opt.batch_size, 1)
    fake = torch.zeros(opt.batch_size, 1)

    for it in range(opt.iters):
        real = sample_ring(opt.batch_size)

        # -- generator
        optimizer_G.zero_grad()
        z = torch.randn(opt.batch_size, opt.latent_dim)
        gen = generator(z)
        g_loss = adversarial_loss(discriminator(gen), valid)
        g_loss.backward()
        optimizer_G.step()

        # -- discriminator
        optimizer_G.zero_grad()  # ALSO: stale-gradients
        real_loss = adversarial_loss(discriminator(real), valid)
        fake_loss = adversarial_loss(discriminator(gen.detach()), fake)
        d_loss = (real_loss + fake_loss) / 2
        d_loss.backward()  # ALSO: stale-gradients
        optimizer_D.step()  # BUG: stale-gradients

        if (it + 1) % 25 == 0:
            print(f"[iter {it + 1}/{opt.iters}] [D loss: {d_loss.item():.4f}] [G loss: {g_loss.item():.4f}]")


if __name__ == "__main__":
    main()
