"""Token tagging with a transformer encoder; short sentences are padded to the block size."""
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

PAD_ID, PAD_TAG = 0, 0
VOCAB, TAGS, BLOCK = 40, 5, 24


class Sentences(Dataset):
    """tag 0 is the padding tag, 1..4 depend on a word and its left neighbour"""

    def __init__(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        self.rows = []
        for _ in range(n):
            length = int(torch.randint(4, 12, (1,), generator=g))
            words = torch.randint(1, VOCAB, (length,), generator=g)
            left = torch.cat([torch.zeros(1, dtype=torch.long), words[:-1]])
            tags = 1 + (words + (left > 20).long()) % 4
            pad = BLOCK - length
            self.rows.append((F.pad(words, (0, pad), value=PAD_ID), F.pad(tags, (0, pad), value=PAD_TAG)))

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows[i]


class Tagger(nn.Module):
    def __init__(self, d=32):
        super().__init__()
        self.tok = nn.Embedding(VOCAB, d, padding_idx=PAD_ID)
        self.pos = nn.Embedding(BLOCK, d)
        layer = nn.TransformerEncoderLayer(d, 4, 64, dropout=0.1, batch_first=True)
        self.enc = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.cls = nn.Linear(d, TAGS)

    def forward(self, ids):
        h = self.tok(ids) + self.pos.weight
        return self.cls(self.enc(h, src_key_padding_mask=ids == PAD_ID))


class TaggerTrainer:
    def __init__(self, model, train_set, val_set, epochs=4, lr=3e-3):
        self.model, self.epochs = model, epochs
        self.train_dl = DataLoader(train_set, batch_size=32, shuffle=True)
        self.val_dl = DataLoader(val_set, batch_size=100)
        self.opt = torch.optim.AdamW(model.parameters(), lr=lr)

    def compute_loss(self, ids, tags):
        logits = self.model(ids)
        return F.cross_entropy(logits.reshape(-1, TAGS), tags.reshape(-1)), logits  # BUG: unmasked-padding

    def fit(self):
        for epoch in range(self.epochs):
            self.model.train()
            for ids, tags in self.train_dl:
                loss, _ = self.compute_loss(ids, tags)  # ALSO: unmasked-padding
                self.opt.zero_grad()
                loss.backward()
                self.opt.step()
            print(f"epoch {epoch}: loss {loss.item():.4f}", self.evaluate())

    @torch.no_grad()
    def evaluate(self):
        self.model.eval()
        total, hits, n = 0.0, 0, 0
        for ids, tags in self.val_dl:
            loss, logits = self.compute_loss(ids, tags)
            total += loss.item()
            hits += (logits.argmax(-1) == tags).sum().item()
            n += tags.numel()
        return {"val_loss": round(total / len(self.val_dl), 4), "val_acc": round(hits / n, 4)}


if __name__ == "__main__":
    torch.manual_seed(0)
    TaggerTrainer(Tagger(), Sentences(960, 0), Sentences(200, 1)).fit()
