"""Skip-gram word vectors with negative sampling on generated sentences."""
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = 17
VOCAB, DIM, TOPICS = 60, 16, 6


def sentences(n, length=12):
    topic = torch.randint(0, TOPICS, (n, 1))
    words = topic * 10 + torch.randint(0, 10, (n, length))
    noise = torch.randint(0, VOCAB, (n, length))
    return torch.where(torch.rand(n, length) < 0.8, words, noise)


class SkipGram(nn.Module):
    def __init__(self):
        super().__init__()
        self.center, self.context = nn.Embedding(VOCAB, DIM), nn.Embedding(VOCAB, DIM)
        nn.init.uniform_(self.center.weight, -0.5 / DIM, 0.5 / DIM)
        nn.init.uniform_(self.context.weight, -0.5 / DIM, 0.5 / DIM)

    def forward(self, c, o, neg):
        v = self.center(c)
        pos = (v * self.context(o)).sum(1)
        negs = torch.bmm(self.context(neg), v.unsqueeze(2)).squeeze(2)
        return -(F.logsigmoid(pos) + F.logsigmoid(-negs).sum(1)).mean()


class PairSampler:
    def __init__(self, corpus, batch_size=64, window=3, negatives=5, seed=SEED):
        self.corpus, self.batch_size = corpus, batch_size
        self.window, self.negatives, self.seed = window, negatives, seed

    def sample(self):
        g = torch.Generator().manual_seed(self.seed)  # ALSO: repeated-batch
        row = torch.randint(0, len(self.corpus), (self.batch_size,), generator=g)
        i = torch.randint(self.window, self.corpus.size(1) - self.window, (self.batch_size,), generator=g)
        offset = torch.randint(1, self.window + 1, (self.batch_size,), generator=g)
        sign = 2 * torch.randint(0, 2, (self.batch_size,), generator=g) - 1
        neg = torch.randint(0, VOCAB, (self.batch_size, self.negatives), generator=g)
        return self.corpus[row, i], self.corpus[row, i + sign * offset], neg


def topic_neighbours(model):
    w = F.normalize(model.center.weight.detach(), dim=1)
    sim = w @ w.T - 2 * torch.eye(VOCAB)
    return (sim.argmax(1) // 10 == torch.arange(VOCAB) // 10).float().mean().item()


def main():
    torch.manual_seed(SEED)
    sampler = PairSampler(sentences(800))
    model = SkipGram()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    for step in range(1, 151):
        center, context, negatives = sampler.sample()
        loss = model(center, context, negatives)  # BUG: repeated-batch
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 30 == 0:
            print(f"step {step}: loss {loss.item():.4f} nearest neighbour shares topic {topic_neighbours(model):.2f}")


if __name__ == "__main__":
    main()
