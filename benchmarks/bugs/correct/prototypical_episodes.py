"""Prototypical networks: five-way episodes, logits are negative squared distances to class means of the support set."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class Episodes:
    """Endless classes: each is a random direction in 16 dimensions plus noise."""

    def __init__(self, seed, way=5, shot=3, queries=6):
        self.g = torch.Generator().manual_seed(seed)
        self.mix = torch.randn(6, 16, generator=torch.Generator().manual_seed(0))
        self.way, self.shot, self.queries = way, shot, queries

    def draw(self):
        n = self.shot + self.queries
        centre = torch.randn(self.way, 1, 6, generator=self.g)
        signal = (centre + 0.25 * torch.randn(self.way, n, 6, generator=self.g)) @ self.mix
        x = signal + 2.0 * torch.randn(self.way, n, 16, generator=self.g)
        y = torch.arange(self.way).repeat_interleave(self.queries)
        return x[:, :self.shot], x[:, self.shot:].flatten(0, 1), y


def episode_loss(net, episode):
    support, query, y = episode
    way, shot, d = support.shape
    prototypes = net(support.flatten(0, 1)).view(way, shot, -1).mean(1)
    z = net(query)
    logits = -((z[:, None, :] - prototypes[None, :, :]) ** 2).sum(-1)
    return F.cross_entropy(logits, y), (logits.argmax(1) == y).float().mean().item()


def main():
    torch.manual_seed(137)
    net = nn.Sequential(nn.Linear(16, 48), nn.ReLU(), nn.Linear(48, 12))
    train, test = Episodes(1), Episodes(2)
    held_out = [test.draw() for _ in range(40)]
    opt = torch.optim.Adam(net.parameters(), lr=3e-3)
    log = []
    for step in range(150):
        loss, acc = episode_loss(net, train.draw())
        opt.zero_grad()
        loss.backward()
        opt.step()
        log.append((loss.item(), acc))
    with torch.no_grad():
        scores = [episode_loss(net, e)[1] for e in held_out]
    print("loss", [round(sum(l for l, _ in log[k:k + 15]) / 15, 4) for k in (0, 60, 135)])
    print("accuracy on new classes", round(sum(scores) / len(scores), 4))


main()
