"""Original WGAN: RMSprop critic whose weights are clamped in place after every step, D frozen while G learns."""
import torch
import torch.nn as nn

torch.manual_seed(13)
G = nn.Sequential(nn.Linear(2, 24), nn.ReLU(), nn.Linear(24, 1))
D = nn.Sequential(nn.Linear(1, 24), nn.LeakyReLU(0.2), nn.Linear(24, 24), nn.LeakyReLU(0.2), nn.Linear(24, 1))
optD = torch.optim.RMSprop(D.parameters(), lr=2e-3)
optG = torch.optim.RMSprop(G.parameters(), lr=5e-4)
CLIP, N_CRITIC = 0.15, 3


def real(n):
    return 3.0 + 0.5 * torch.randn(n, 1)


means = []
for it in range(240):
    for p in D.parameters():
        p.requires_grad_(True)
    for _ in range(N_CRITIC):
        optD.zero_grad()
        fake = G(torch.randn(64, 2)).detach()
        loss_d = D(fake).mean() - D(real(64)).mean()
        loss_d.backward()
        optD.step()
        for p in D.parameters():
            p.data.clamp_(-CLIP, CLIP)

    for p in D.parameters():
        p.requires_grad_(False)
    optG.zero_grad()
    out = G(torch.randn(64, 2))
    loss_g = -D(out).mean()
    loss_g.backward()
    optG.step()
    means.append(out.mean().item())

print("mean of generated samples:", *[f"{means[i]:.3f}" for i in (0, 60, 120, 180, 239)])
print(f"largest critic weight {max(p.abs().max().item() for p in D.parameters()):.2f}")
