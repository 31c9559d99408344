"""Training with checkpoints: the job is preempted and picks up again from the last epoch."""
import argparse
import os
import tempfile

import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset, random_split


def get_loaders(batch_size):
    d = load_digits()
    data = TensorDataset(torch.tensor(d.data, dtype=torch.float32) / 16, torch.tensor(d.target))
    train_set, val_set = random_split(data, [1440, 357], generator=torch.Generator().manual_seed(0))
    return DataLoader(train_set, batch_size, shuffle=True), DataLoader(val_set, 357)


def save_checkpoint(path, model, optimizer, epoch):
    torch.save({"epoch": epoch, "state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}, path)


def run(args, resume, last_epoch):
    train_loader, val_loader = get_loaders(args.batch_size)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    criterion = nn.CrossEntropyLoss()
    start_epoch = 0
    if resume:
        checkpoint = torch.load(args.checkpoint, weights_only=True)
        start_epoch = checkpoint["epoch"] + 1
        model.load_state_dict(checkpoint["state_dict"])  # BUG: partial-resume
        print(f"=> resumed from {os.path.basename(args.checkpoint)} (epoch {start_epoch})")

    for epoch in range(start_epoch, last_epoch):
        model.train()
        for x, y in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()  # ALSO: partial-resume
        model.eval()
        with torch.no_grad():
            acc = sum((model(x).argmax(1) == y).float().mean().item() for x, y in val_loader)
        print(f"epoch {epoch}: loss {loss.item():.4f} val acc {acc:.3f}")
        save_checkpoint(args.checkpoint, model, optimizer, epoch)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--preempt-after", type=int, default=3, help="simulate the end of the time slot")
    parser.add_argument("--batch-size", type=int, default=48)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        args.checkpoint = os.path.join(folder, "checkpoint.pth")
        run(args, resume=False, last_epoch=args.preempt_after)
        run(args, resume=True, last_epoch=args.epochs)
