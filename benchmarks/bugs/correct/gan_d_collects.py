"""GAN on a ring of Gaussians; the generator steps first, so D collects gradients that it clears before its own step."""
import torch
import torch.nn as nn

torch.manual_seed(10)
latent_dim = 4


def sample_real(n):
    angle = torch.randint(0, 6, (n,)) * (2 * torch.pi / 6)
    return torch.stack([angle.cos(), angle.sin()], 1) * 1.5 + 0.05 * torch.randn(n, 2)


generator = nn.Sequential(nn.Linear(latent_dim, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2), nn.Linear(32, 2))
discriminator = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1), nn.Sigmoid())
adversarial_loss = nn.BCELoss()
optimizer_G = torch.optim.Adam(generator.parameters(), lr=2e-3, betas=(0.5, 0.999))
optimizer_D = torch.optim.Adam(discriminator.parameters(), lr=2e-3, betas=(0.5, 0.999))

log = []
for step in range(240):
    real = sample_real(64)
    valid = torch.ones(64, 1)
    fake = torch.zeros(64, 1)

    # generator
    optimizer_G.zero_grad()
    z = torch.randn(64, latent_dim)
    gen = generator(z)
    g_loss = adversarial_loss(discriminator(gen), valid)
    g_loss.backward()
    optimizer_G.step()

    # discriminator
    optimizer_D.zero_grad()
    real_loss = adversarial_loss(discriminator(real), valid)
    fake_loss = adversarial_loss(discriminator(gen.detach()), fake)
    d_loss = (real_loss + fake_loss) / 2
    d_loss.backward()
    optimizer_D.step()
    log.append((g_loss.item(), d_loss.item()))

with torch.no_grad():
    radius = generator(torch.randn(500, latent_dim)).norm(dim=1).mean().item()
for step in (0, 119, 239):
    print(f"step {step}: G {log[step][0]:.4f} D {log[step][1]:.4f}")
print(f"mean radius {radius:.3f}")
