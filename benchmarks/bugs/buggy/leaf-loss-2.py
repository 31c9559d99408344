"""Triplet and classification losses averaged per batch in a face-verification style trainer."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class IdentityData:
    def __init__(self, ids=12, dim=24, seed=0):
        self.g = torch.Generator().manual_seed(seed)
        self.centres = torch.randn(ids, dim, generator=self.g)
        self.ids = ids

    def sample(self, label):
        return self.centres[label] + 0.6 * torch.randn(len(label), self.centres.size(1), generator=self.g)

    def triplets(self, n):
        a = torch.randint(0, self.ids, (n,), generator=self.g)
        shift = torch.randint(1, self.ids, (n,), generator=self.g)
        return self.sample(a), self.sample(a), self.sample((a + shift) % self.ids), a


class VerificationNet(nn.Module):
    def __init__(self, dim=24, emb=16, ids=12):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(dim, 48), nn.ReLU(), nn.Linear(48, emb))
        self.classifier = nn.Linear(emb, ids)

    def forward(self, x):
        return F.normalize(self.trunk(x), dim=1)


class Trainer:
    def __init__(self, model, data, lr=2e-3):
        self.model, self.data = model, data
        self.optimizer = torch.optim.Adam(model.parameters(), lr=lr)
        self.triplet = nn.TripletMarginLoss(margin=0.3)

    def compute_losses(self):
        anchor, positive, negative, label = self.data.triplets(48)
        za, zp, zn = self.model(anchor), self.model(positive), self.model(negative)
        return {
            "triplet": self.triplet(za, zp, zn),
            "class": F.cross_entropy(self.model.classifier(za), label),
        }

    def step(self):
        self.model.train()
        losses = {name: value.item() for name, value in self.compute_losses().items()}
        total = torch.tensor(sum(losses.values()) / len(losses), requires_grad=True)  # ALSO: leaf-loss
        self.optimizer.zero_grad()
        total.backward()  # BUG: leaf-loss
        self.optimizer.step()
        return losses

    @torch.no_grad()
    def verification_accuracy(self, n=300):
        self.model.eval()
        a, p, q, _ = self.data.triplets(n)
        za, zp, zq = self.model(a), self.model(p), self.model(q)
        return ((za * zp).sum(1) > (za * zq).sum(1)).float().mean().item()


if __name__ == "__main__":
    torch.manual_seed(0)
    trainer = Trainer(VerificationNet(), IdentityData())
    for step in range(1, 101):
        losses = trainer.step()
        if step % 20 == 0:
            shown = " ".join(f"{k} {v:.3f}" for k, v in losses.items())
            print(f"step {step}: {shown} verification {trainer.verification_accuracy():.3f}")
