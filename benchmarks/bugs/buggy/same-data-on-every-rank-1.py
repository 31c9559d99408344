"""DDP training of a small convolutional regressor on synthetic peaks."""
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.utils.data import DataLoader, TensorDataset


def peaks(n, seed):
    g = torch.Generator().manual_seed(seed)
    pos = torch.rand(n, 1, generator=g)
    grid = torch.linspace(0, 1, 40)
    x = torch.exp(-((grid - pos) / 0.05) ** 2) + 0.15 * torch.randn(n, 40, generator=g)
    return TensorDataset(x.unsqueeze(1), 2 * pos - 1)


class PeakNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv1d(1, 8, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2),
                                  nn.Conv1d(8, 8, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten())
        self.fc = nn.Sequential(nn.Linear(80, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, x):
        return self.fc(self.conv(x))


def main():
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    torch.manual_seed(1234)
    train_loader = DataLoader(peaks(1280, 0), batch_size=32, shuffle=True)  # BUG: same-data-on-every-rank
    val_loader = DataLoader(peaks(256, 1), batch_size=256)
    model = DDP(PeakNet())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    criterion = nn.MSELoss()
    for epoch in range(3):
        model.train()
        for x, y in train_loader:  # ALSO: same-data-on-every-rank
            optimizer.zero_grad()
            loss = criterion(model(x), y)  # ALSO: same-data-on-every-rank
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            val = sum(criterion(model.module(x), y).item() for x, y in val_loader) / len(val_loader)
        if rank == 0:
            print(f"epoch {epoch}: train {loss.item():.4f} val {val:.4f}")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
