"""CycleGAN in two dimensions: one optimizer over both generators (itertools.chain), one over both discriminators."""
import itertools

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(15)


def mlp():
    return nn.Sequential(nn.Linear(2, 24), nn.LeakyReLU(0.2), nn.Linear(24, 2))


def disc():
    return nn.Sequential(nn.Linear(2, 24), nn.LeakyReLU(0.2), nn.Linear(24, 1))


G_ab, G_ba, D_a, D_b = mlp(), mlp(), disc(), disc()
opt_g = torch.optim.Adam(itertools.chain(G_ab.parameters(), G_ba.parameters()), lr=3e-3)
opt_d = torch.optim.Adam(itertools.chain(D_a.parameters(), D_b.parameters()), lr=3e-3)


def requires_grad(nets, flag):
    for net in nets:
        for p in net.parameters():
            p.requires_grad_(flag)


def ls(pred, value):
    return ((pred - value) ** 2).mean()


cyc_log = []
for step in range(100):
    a = torch.randn(64, 2) * 0.4
    b = torch.randn(64, 2) * 0.4 + torch.tensor([2.0, -1.0])

    requires_grad((D_a, D_b), False)
    fake_b, fake_a = G_ab(a), G_ba(b)
    cycle = F.l1_loss(G_ba(fake_b), a) + F.l1_loss(G_ab(fake_a), b)
    adv = ls(D_b(fake_b), 1.0) + ls(D_a(fake_a), 1.0)
    opt_g.zero_grad()
    (adv + 5.0 * cycle).backward()
    opt_g.step()

    requires_grad((D_a, D_b), True)
    opt_d.zero_grad()
    for net, real, fake in ((D_a, a, fake_a), (D_b, b, fake_b)):
        loss = 0.5 * (ls(net(real), 1.0) + ls(net(fake.detach()), 0.0))
        loss.backward()
    opt_d.step()
    cyc_log.append(cycle.item())

with torch.no_grad():
    shift = G_ab(torch.randn(300, 2) * 0.4).mean(0)
print("cycle loss", [round(cyc_log[i], 4) for i in (0, 50, 99)])
print("mean of a->b", [round(v, 2) for v in shift.tolist()])
