"""Instruction-style language modelling: loss on the answers only, answers of very different lengths."""
import random

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

PAD, SEP, EOS = 0, 1, 2
VOCAB, MAX_LEN = 24, 40
GRAD_ACCUM = 4


class CopyTask(Dataset):
    """prompt = a symbol and a count, answer = the symbol repeated"""

    def __init__(self, n, seed):
        rng = random.Random(seed)
        self.items = []
        for _ in range(n):
            sym = rng.randrange(3, VOCAB)
            filler = [rng.randrange(3, VOCAB) for _ in range(5)]
            count = rng.choice([1, 2, 3, 20, 28])
            self.items.append(([sym] + filler + [3 + count % 20], [sym] * count + [EOS]))

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def collate(batch):
    ids, labels = [], []
    for prompt, answer in batch:
        seq = prompt + [SEP] + answer
        lab = [-100] * (len(prompt) + 1) + answer
        pad = MAX_LEN - len(seq)
        ids.append(seq + [PAD] * pad)
        labels.append(lab + [-100] * pad)
    return torch.tensor(ids), torch.tensor(labels)


class CausalLM(nn.Module):
    def __init__(self, d=32):
        super().__init__()
        self.tok = nn.Embedding(VOCAB, d, padding_idx=PAD)
        self.pos = nn.Embedding(MAX_LEN, d)
        layer = nn.TransformerEncoderLayer(d, 4, 64, dropout=0.0, batch_first=True, norm_first=True)
        self.enc = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(d, VOCAB)

    def forward(self, ids):
        T = ids.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(T)
        h = self.enc(self.tok(ids) + self.pos(torch.arange(T)), mask=mask, is_causal=True)
        return self.head(h)


def lm_loss(logits, labels):
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)


def main():
    torch.manual_seed(0)
    train_loader = DataLoader(CopyTask(960, 0), batch_size=4, shuffle=True, collate_fn=collate)
    val_loader = DataLoader(CopyTask(128, 1), batch_size=64, collate_fn=collate)
    model = CausalLM()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for epoch in range(2):
        model.train()
        running = 0.0
        for i, (ids, labels) in enumerate(train_loader):
            loss = lm_loss(model(ids), labels) / GRAD_ACCUM  # BUG: uneven-accumulation
            loss.backward()  # ALSO: uneven-accumulation
            running += loss.item()
            if (i + 1) % GRAD_ACCUM == 0:
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()  # ALSO: uneven-accumulation
                optimizer.zero_grad()
        model.eval()
        with torch.no_grad():
            val = sum(lm_loss(model(i), l).item() for i, l in val_loader) / len(val_loader)
        print(f"epoch {epoch}: train {running / len(train_loader) * GRAD_ACCUM:.4f} val {val:.4f}")


if __name__ == "__main__":
    main()
