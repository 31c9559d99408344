"""Policy gradient with masked (illegal) actions and an entropy bonus on a tiny card game."""
import torch
import torch.nn as nn

torch.manual_seed(0)
RANKS, HAND, ROUNDS, ENVS = 6, 4, 90, 64


class CardPolicy(nn.Module):
    def __init__(self, hidden=48):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2 * RANKS, hidden), nn.ReLU(), nn.Linear(hidden, RANKS))

    def forward(self, hand_counts, opponent):
        x = torch.cat([hand_counts / HAND, opponent], dim=1)
        logits = self.net(x)
        legal = hand_counts > 0
        return logits.masked_fill(~legal, float("-inf"))


def deal():
    cards = torch.randint(0, RANKS, (ENVS, HAND))
    counts = torch.zeros(ENVS, RANKS).scatter_add_(1, cards, torch.ones(ENVS, HAND))
    opp = torch.randint(0, RANKS, (ENVS,))
    return counts, opp


def payoff(card, opp):
    # beat the opponent's card with as low a card as possible
    win = card > opp
    return torch.where(win, 1.0 - 0.1 * (card - opp).float(), -0.1 * card.float())


policy = CardPolicy()
optimizer = torch.optim.Adam(policy.parameters(), lr=3e-3)
baseline = 0.0

for step in range(1, ROUNDS + 1):
    counts, opp = deal()
    logits = policy(counts, nn.functional.one_hot(opp, RANKS).float())
    probs = torch.softmax(logits, dim=1)
    gumbel = -torch.log(-torch.log(torch.rand(ENVS, RANKS).clamp(1e-6, 1 - 1e-6)))
    card = (logits.detach() + gumbel).argmax(dim=1)
    reward = payoff(card, opp)
    baseline = 0.9 * baseline + 0.1 * reward.mean().item()

    chosen = probs.gather(1, card.unsqueeze(1)).squeeze(1)
    pg_loss = -(torch.log(chosen) * (reward - baseline)).mean()
    entropy = -(probs * torch.log(probs)).sum(dim=1).mean()  # BUG: nonfinite-values
    loss = pg_loss - 0.01 * entropy

    optimizer.zero_grad()
    loss.backward()  # ALSO: nonfinite-values
    optimizer.step()
    if step % 15 == 0:
        print(f"step {step}: reward {reward.mean():+.3f} loss {loss.item():.4f} entropy {entropy.item():.3f}")
