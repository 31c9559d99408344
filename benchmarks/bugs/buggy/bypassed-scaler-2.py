"""Mixed-precision image-to-image GAN on 8x8 digits: colourise edges with an L1 and an adversarial loss."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits


class Generator(nn.Module):
    def __init__(self, c=12):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, c, 3, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(c, c, 3, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(c, 1, 3, padding=1), nn.Tanh())

    def forward(self, edges):
        return self.net(edges)


class PatchDiscriminator(nn.Module):
    def __init__(self, c=12):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(2, c, 3, stride=2, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(c, 1, 3, padding=1))

    def forward(self, edges, image):
        return self.net(torch.cat([edges, image], 1))


class Pix2Pix:
    def __init__(self, lr=1e-3, lambda_l1=20.0):
        self.G, self.D = Generator(), PatchDiscriminator()
        self.opt_G = torch.optim.Adam(self.G.parameters(), lr=lr, betas=(0.5, 0.999))
        self.opt_D = torch.optim.Adam(self.D.parameters(), lr=lr, betas=(0.5, 0.999))
        self.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        self.lambda_l1 = lambda_l1

    def gan_loss(self, pred, real):
        return F.binary_cross_entropy_with_logits(pred.float(), torch.full_like(pred, float(real)).float())

    def optimize(self, edges, image):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            fake = self.G(edges)
        # D
        self.opt_D.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss_d = self.gan_loss(self.D(edges, image), True) + self.gan_loss(self.D(edges, fake.detach()), False)
        self.scaler.scale(0.5 * loss_d).backward()  # ALSO: bypassed-scaler
        self.opt_D.step()  # BUG: bypassed-scaler
        # G
        self.opt_G.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss_g = self.gan_loss(self.D(edges, fake), True) + self.lambda_l1 * F.l1_loss(fake.float(), image)
        self.scaler.scale(loss_g).backward()
        self.scaler.step(self.opt_G)
        self.scaler.update()
        return loss_d.item(), loss_g.item()


def main():
    torch.manual_seed(1)
    images = torch.tensor(load_digits().images).float().unsqueeze(1) / 8 - 1
    edges = (images - F.avg_pool2d(images, 3, 1, 1)).clamp(-1, 1)
    perm = torch.randperm(len(images))
    train, val = perm[:1536], perm[1536:]
    gan = Pix2Pix()
    for epoch in range(4):
        gan.G.train(), gan.D.train()
        for idx in train[torch.randperm(len(train))].split(64):
            d, g = gan.optimize(edges[idx], images[idx])
        gan.G.eval()
        with torch.no_grad():
            l1 = F.l1_loss(gan.G(edges[val]), images[val]).item()
        print(f"epoch {epoch} D {d:.3f} G {g:.3f} val L1 {l1:.4f}")


if __name__ == "__main__":
    main()
