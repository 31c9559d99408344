"""Two-part network under torchrun: the backbone is wrapped in DDP, a light head sits on top."""
import torch
import torch.distributed as dist
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset


class Backbone(nn.Module):
    def __init__(self, d=32):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
        self.fc = nn.Linear(64, d)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return F.relu(self.fc(x.flatten(1)))


def datasets():
    d = load_digits()
    x, y = torch.tensor(d.images).float().unsqueeze(1) / 16, torch.tensor(d.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    return TensorDataset(x[order[:1440]], y[order[:1440]]), TensorDataset(x[order[1440:]], y[order[1440:]])


def train(epochs=4, batch_size=24, lr=2e-3):
    rank = dist.get_rank()
    torch.manual_seed(0)
    backbone = DDP(Backbone())
    head = nn.Linear(32, 10)  # BUG: diverged-ranks
    optimizer = torch.optim.Adam([*backbone.parameters(), *head.parameters()], lr=lr)
    train_set, val_set = datasets()
    sampler = DistributedSampler(train_set, shuffle=True)
    train_loader = DataLoader(train_set, batch_size=batch_size, sampler=sampler)
    val_loader = DataLoader(val_set, batch_size=357)

    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        backbone.train(), head.train()
        for x, y in train_loader:
            logits = head(backbone(x))  # ALSO: diverged-ranks
            loss = F.cross_entropy(logits, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()  # ALSO: diverged-ranks
        backbone.eval(), head.eval()
        with torch.no_grad():
            acc = sum((head(backbone(x)).argmax(1) == y).float().mean().item() for x, y in val_loader)
        if rank == 0:
            print(f"epoch {epoch}: loss {loss.item():.4f} val acc {acc:.3f}")


if __name__ == "__main__":
    dist.init_process_group("gloo")
    train()
    dist.barrier()
    dist.destroy_process_group()
