"""Relativistic least-squares GAN for 1-D data; both optimizers are cleared together at the end of the loop."""
import torch
import torch.nn as nn


class Mlp(nn.Sequential):
    def __init__(self, i, o):
        super().__init__(nn.Linear(i, 20), nn.SiLU(), nn.Linear(20, o))


def set_grad(net, flag):
    for p in net.parameters():
        p.requires_grad = flag


def train(steps=120):
    torch.manual_seed(14)
    gen, disc = Mlp(2, 1), Mlp(1, 1)
    og = torch.optim.Adam(gen.parameters(), 3e-3, betas=(0.5, 0.9))
    od = torch.optim.Adam(disc.parameters(), 3e-3, betas=(0.5, 0.9))
    bce = nn.BCEWithLogitsLoss()
    ones = torch.ones(48, 1)
    out = []
    for _ in range(steps):
        x = -1.0 + 0.3 * torch.randn(48, 1)
        fake = gen(torch.randn(48, 2))
        real_logit, fake_logit = disc(x), disc(fake.detach())
        d_loss = bce(real_logit - fake_logit.mean(), ones) + bce(fake_logit - real_logit.mean(), ones * 0)
        d_loss.backward()
        od.step()

        set_grad(disc, False)
        fake_logit = disc(fake)
        g_loss = bce(fake_logit - disc(x).mean().detach(), ones)
        g_loss.backward()
        og.step()
        set_grad(disc, True)

        og.zero_grad()
        od.zero_grad()
        out.append((d_loss.item(), g_loss.item(), fake.mean().item()))
    return out


log = train()
print("D", round(log[0][0], 4), round(log[-1][0], 4))
print("G", round(log[0][1], 4), round(log[-1][1], 4))
print("mean of fakes", round(log[0][2], 3), round(log[-1][2], 3))
