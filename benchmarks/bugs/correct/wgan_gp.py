"""WGAN-GP on a 2-D mixture: five critic steps per generator step, with the penalty's double backward."""
import torch
from torch import nn


def real_batch(n, g):
    mode = torch.randint(0, 2, (n, 1), generator=g).float()
    return (mode * 2 - 1) * torch.tensor([[1.5, 0.5]]) + 0.1 * torch.randn(n, 2, generator=g)


def gradient_penalty(critic, real, fake, g):
    eps = torch.rand(len(real), 1, generator=g)
    mix = (eps * real + (1 - eps) * fake).requires_grad_(True)
    score = critic(mix)
    grad = torch.autograd.grad(score, mix, grad_outputs=torch.ones_like(score), create_graph=True, retain_graph=True, only_inputs=True)[0]
    return ((grad.norm(2, dim=1) - 1) ** 2).mean()


class WGAN:
    def __init__(self, n_critic=5, lam=10.0):
        self.G = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 2))
        self.C = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 1))
        self.opt_g = torch.optim.Adam(self.G.parameters(), lr=5e-3, betas=(0.0, 0.9))
        self.opt_c = torch.optim.Adam(self.C.parameters(), lr=5e-3, betas=(0.0, 0.9))
        self.n_critic, self.lam = n_critic, lam
        self.rng = torch.Generator().manual_seed(12)

    def critic_step(self):
        real = real_batch(64, self.rng)
        with torch.no_grad():
            fake = self.G(torch.randn(64, 3, generator=self.rng))
        w = self.C(real).mean() - self.C(fake).mean()
        loss = -w + self.lam * gradient_penalty(self.C, real, fake, self.rng)
        self.opt_c.zero_grad()
        loss.backward()
        self.opt_c.step()
        return w.item()

    def generator_step(self):
        loss = -self.C(self.G(torch.randn(64, 3, generator=self.rng))).mean()
        self.opt_g.zero_grad()
        loss.backward()
        self.opt_g.step()

    def fit(self, iterations):
        distance = []
        for _ in range(iterations):
            for _ in range(self.n_critic):
                w = self.critic_step()
            self.generator_step()
            distance.append(w)
        return distance


if __name__ == "__main__":
    torch.manual_seed(12)
    d = WGAN().fit(50)
    print("wasserstein estimate", [round(d[i], 3) for i in (2, 10, 25, 49)])
