"""Language model whose output layer shares its weight with the embedding; the weight sits in one decayed group once."""
import torch
import torch.nn as nn

torch.manual_seed(54)
words = "a b c d e f g h".split()
table = torch.softmax(torch.randn(8, 8) * 2.5, dim=1)           # a Markov chain to be learned


def walk(n, length):
    seq = [torch.randint(0, 8, (n,))]
    for _ in range(length):
        seq.append(torch.multinomial(table[seq[-1]], 1).squeeze(1))
    return torch.stack(seq, 1)


class TiedLM(nn.Module):
    def __init__(self, vocab, d):
        super().__init__()
        self.wte = nn.Embedding(vocab, d)
        self.body = nn.GRU(d, d, batch_first=True)
        self.lm_head = nn.Linear(d, vocab, bias=False)
        nn.init.normal_(self.wte.weight, std=0.3)
        self.lm_head.weight = self.wte.weight

    def forward(self, ids):
        return self.lm_head(self.body(self.wte(ids))[0])


model = TiedLM(8, 24)
params = list(model.parameters())            # named once although it is used twice
opt = torch.optim.AdamW([
    {"params": [p for p in params if p.ndim >= 2], "weight_decay": 0.01},
    {"params": [p for p in params if p.ndim < 2], "weight_decay": 0.0}], lr=1e-2)

valid = walk(100, 20)
losses = []
for step in range(100):
    seq = walk(24, 20)
    logits = model(seq[:, :-1])
    loss = nn.functional.cross_entropy(logits.reshape(-1, 8), seq[:, 1:].reshape(-1))
    opt.zero_grad()
    loss.backward()
    opt.step()
    losses.append(loss.item())
model.eval()
with torch.no_grad():
    v = nn.functional.cross_entropy(model(valid[:, :-1]).reshape(-1, 8), valid[:, 1:].reshape(-1)).item()
    p = table[valid[:, :-1]].gather(2, valid[:, 1:, None]).log().mean().neg().item()
print(f"train {losses[0]:.4f} -> {losses[-1]:.4f}; valid {v:.4f}; entropy of the chain {p:.4f}")
print("still tied:", model.lm_head.weight is model.wte.weight, "params", len(params))
