"""Accumulates summed token losses over ragged micro-batches and divides by the window's token count."""
import torch
import torch.nn as nn
import torch.nn.functional as F

PAD = 0
VOCAB = 17


def make_sequences(n, generator):
    """Arithmetic sequences modulo 16, shifted by one so that 0 stays free for padding."""
    out = []
    for _ in range(n):
        length = int(torch.randint(4, 15, (1,), generator=generator))
        start = int(torch.randint(0, 16, (1,), generator=generator))
        stride = int(torch.randint(1, 4, (1,), generator=generator))
        out.append(torch.tensor([(start + stride * t) % 16 + 1 for t in range(length)]))
    return out


def collate(seqs):
    return nn.utils.rnn.pad_sequence(seqs, batch_first=True, padding_value=PAD)


class TinyLM(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, 24, padding_idx=PAD)
        self.rnn = nn.GRU(24, 32, batch_first=True)
        self.head = nn.Linear(32, VOCAB)

    def forward(self, ids):
        h, _ = self.rnn(self.embed(ids))
        return self.head(h)


def token_loss(model, batch):
    logits = model(batch[:, :-1])
    target = batch[:, 1:]
    return F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=PAD, reduction="sum"), (target != PAD).sum()


def main():
    torch.manual_seed(1)
    g = torch.Generator().manual_seed(2)
    train, valid = make_sequences(240, g), make_sequences(40, g)
    model = TinyLM()
    opt = torch.optim.AdamW(model.parameters(), lr=5e-3)
    first = last = None
    for _epoch in range(4):
        order = torch.randperm(len(train), generator=g).tolist()
        micro = [collate([train[j] for j in order[k:k + 8]]) for k in range(0, len(order), 8)]
        for k in range(0, len(micro), 3):
            window = micro[k:k + 3]
            n_tokens = sum(int((b[:, 1:] != PAD).sum()) for b in window)
            window_loss = 0.0
            for batch in window:
                loss, _ = token_loss(model, batch)
                loss = loss / n_tokens
                loss.backward()
                window_loss += loss.item()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            opt.step()
            opt.zero_grad(set_to_none=True)
            first = window_loss if first is None else first
            last = window_loss
    model.eval()
    with torch.no_grad():
        s, n = token_loss(model, collate(valid))
    print(f"first {first:.4f} last {last:.4f} valid {(s / n).item():.4f}")


if __name__ == "__main__":
    main()
