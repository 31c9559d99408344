"""Multi-label tagging of mixed signals with a small 1-D convolutional network."""
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, Dataset


class MixedSignals(Dataset):
    """every example contains an arbitrary subset of four waveforms"""

    def __init__(self, n, seed, length=48):
        g = torch.Generator().manual_seed(seed)
        t = torch.linspace(0, 1, length)
        self.tags = (torch.rand(n, 4, generator=g) < 0.4).float()
        amp = 0.7 + 0.6 * torch.rand(n, 4, 1, generator=g)
        phase = 6.28 * torch.rand(n, 4, 1, generator=g)
        freqs = torch.tensor([2.0, 5.0, 9.0, 14.0]).view(1, 4, 1)
        waves = amp * torch.sin(6.28 * freqs * t + phase)
        self.x = (waves * self.tags.unsqueeze(-1)).sum(1, keepdim=True) + 0.2 * torch.randn(n, 1, length, generator=g)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], self.tags[i]


class Tagger(nn.Module):
    def __init__(self, n_tags=4):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv1d(1, 16, 9, padding=4), nn.ReLU(), nn.MaxPool1d(2),
            nn.Conv1d(16, 24, 9, padding=4), nn.ReLU(), nn.AdaptiveMaxPool1d(2), nn.Flatten())
        self.out = nn.Linear(48, n_tags)

    def forward(self, x):
        return torch.sigmoid(self.out(self.conv(x)))  # ALSO: double-sigmoid


def run_epoch(model, loader, criterion, optimizer=None):
    training = optimizer is not None
    model.train(training)
    total, hits, n = 0.0, 0.0, 0
    with torch.set_grad_enabled(training):
        for x, tags in loader:
            out = model(x)
            loss = criterion(out, tags)  # BUG: double-sigmoid
            if training:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            total += loss.item() * len(x)
            hits += ((out > 0.5).float() == tags).float().mean(1).sum().item()
            n += len(x)
    return total / n, hits / n


def main():
    torch.manual_seed(0)
    model = Tagger()
    criterion = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    train_loader = DataLoader(MixedSignals(1024, 0), batch_size=32, shuffle=True)
    val_loader = DataLoader(MixedSignals(256, 1), batch_size=128)
    for epoch in range(4):
        tl, ta = run_epoch(model, train_loader, criterion, optimizer)
        vl, va = run_epoch(model, val_loader, criterion)
        print(f"epoch {epoch}: train {tl:.4f}/{ta:.3f} val {vl:.4f}/{va:.3f}")


main()
