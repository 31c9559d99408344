"""Transformer that labels each of ten positions in a DNA-like read with one of ten structure states."""
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

READ, STATES, BASES = 10, 10, 4


def reads(n, g):
    x = torch.randint(0, BASES, (n, READ), generator=g)
    left = F.pad(x, (1, 0))[:, :-1]
    y = (x + 2 * left + (left == x).long()) % STATES
    return TensorDataset(x, y)


class ReadTransformer(nn.Module):
    def __init__(self, d=32):
        super().__init__()
        self.embed = nn.Embedding(BASES, d)
        self.pos = nn.Parameter(torch.randn(READ, d) * 0.1)
        layer = nn.TransformerEncoderLayer(d, 4, 64, dropout=0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.states = nn.Linear(d, STATES)

    def forward(self, x):
        return self.states(self.encoder(self.embed(x) + self.pos))


class StructureTrainer:
    def __init__(self, epochs=4, lr=3e-3, seed=0):
        torch.manual_seed(seed)
        g = torch.Generator().manual_seed(seed)
        self.epochs = epochs
        self.net = ReadTransformer()
        self.opt = torch.optim.AdamW(self.net.parameters(), lr=lr)
        self.sched = torch.optim.lr_scheduler.CosineAnnealingLR(self.opt, T_max=epochs)
        self.train_dl = DataLoader(reads(960, g), 32, shuffle=True)
        self.val_dl = DataLoader(reads(240, g), 120)

    def loss(self, batch):
        x, y = batch
        return F.cross_entropy(self.net(x), y, label_smoothing=0.05)  # BUG: misplaced-class-dimension

    def run(self):
        for epoch in range(self.epochs):
            self.net.train()
            for batch in self.train_dl:
                loss = self.loss(batch)
                self.opt.zero_grad()
                loss.backward()
                self.opt.step()
            self.sched.step()
            print(f"epoch {epoch}: train {loss.item():.4f} val acc {self.validate():.3f}")

    @torch.no_grad()
    def validate(self):
        self.net.eval()
        return sum((self.net(x).argmax(-1) == y).float().mean().item() for x, y in self.val_dl) / len(self.val_dl)


if __name__ == "__main__":
    StructureTrainer().run()
