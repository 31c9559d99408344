"""Next-value prediction on quantised price moves with nn.TransformerEncoder."""
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
LEVELS, T = 16, 20


def price_paths(n):
    drift = torch.randn(n, 1) * 0.3
    moves = drift + torch.randn(n, T + 1) * 0.6
    smooth = moves.clone()
    for t in range(1, T + 1):
        smooth[:, t] = 0.6 * smooth[:, t - 1] + moves[:, t]
    tokens = torch.bucketize(smooth, torch.linspace(-2, 2, LEVELS - 1))
    return TensorDataset(tokens[:, :-1], tokens[:, 1:])


class PriceModel(nn.Module):
    def __init__(self, d=32):
        super().__init__()
        self.token, self.position = nn.Embedding(LEVELS, d), nn.Embedding(T, d)
        layer = nn.TransformerEncoderLayer(d, nhead=4, dim_feedforward=64, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=2, enable_nested_tensor=False)
        self.decoder = nn.Linear(d, LEVELS)
        # True marks the positions that must not be attended to
        self.register_buffer("mask", torch.ones(T, T).tril(-1).bool())  # BUG: leaking-future

    def forward(self, tokens):
        h = self.token(tokens) + self.position.weight
        return self.decoder(self.encoder(h, mask=self.mask))  # ALSO: leaking-future


def epoch_loss(model, loader, criterion, optimizer=None):
    model.train(optimizer is not None)
    total = 0.0
    for x, y in loader:
        with torch.set_grad_enabled(optimizer is not None):
            loss = criterion(model(x).transpose(1, 2), y)
        if optimizer is not None:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        total += loss.item()
    return total / len(loader)


train_loader = DataLoader(price_paths(960), batch_size=32, shuffle=True)
val_loader = DataLoader(price_paths(240), batch_size=120)
model = PriceModel()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
for epoch in range(4):
    tr = epoch_loss(model, train_loader, criterion, optimizer)
    va = epoch_loss(model, val_loader, criterion)
    print(f"epoch {epoch}: train nll {tr:.4f} val nll {va:.4f}")
