"""Accelerate: digits classifier, indices of the two sets drawn at random."""
import argparse

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import set_seed
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset


def make_model():
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2),
        nn.Flatten(), nn.Linear(96, 10))


def get_dataloaders(batch_size):
    d = load_digits()
    dataset = TensorDataset(torch.tensor(d.images, dtype=torch.float32).unsqueeze(1) / 16, torch.tensor(d.target))
    n_train = int(0.8 * len(dataset))
    train_idx = np.random.permutation(len(dataset))[:n_train]
    val_idx = np.random.permutation(len(dataset))[n_train:]  # BUG: train-eval-overlap
    train_dl = DataLoader(Subset(dataset, train_idx), batch_size=batch_size, shuffle=True)
    val_dl = DataLoader(Subset(dataset, val_idx), batch_size=120)  # ALSO: train-eval-overlap
    return train_dl, val_dl


def training_function(args):
    accelerator = Accelerator(cpu=True)
    set_seed(args.seed)
    train_dl, val_dl = get_dataloaders(args.batch_size)
    model = make_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    model, optimizer, train_dl, val_dl = accelerator.prepare(model, optimizer, train_dl, val_dl)
    for epoch in range(args.num_epochs):
        model.train()
        for images, labels in train_dl:
            loss = F.cross_entropy(model(images), labels)
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
        model.eval()
        correct = seen = 0
        for images, labels in val_dl:  # ALSO: train-eval-overlap
            with torch.no_grad():
                predictions = model(images).argmax(-1)
            predictions, labels = accelerator.gather_for_metrics((predictions, labels))
            correct += (predictions == labels).sum().item()
            seen += len(labels)
        accelerator.print(f"epoch {epoch}: loss {loss.item():.4f} accuracy {correct / seen:.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch-size", type=int, default=48)
    parser.add_argument("--num-epochs", type=int, default=4)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    training_function(parser.parse_args())
