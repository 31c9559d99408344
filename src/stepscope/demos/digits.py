"""Classify handwritten digits, with a linear model or with one hidden ReLU layer.

A plain training script: it knows nothing of stepscope, and runs just as well as
``python digits.py --hidden 64``.
"""

import argparse

import torch
from images import load_images
from rich.progress import track
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split


def make_model(pixels: int, hidden: int) -> nn.Module:
    """A linear classifier, or one hidden layer with ReLU; the outputs are logits."""
    if hidden == 0:
        return nn.Linear(pixels, 10)
    return nn.Sequential(nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, 10))


def evaluate(
    model: nn.Module, loader: DataLoader[tuple[torch.Tensor, ...]], loss_function: nn.Module
) -> tuple[float, float]:
    """Mean loss and share of right answers on data the model was not trained on."""
    model.eval()
    total, right, count = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in loader:
            logits = model(images)
            total += loss_function(logits, labels).item() * len(labels)
            right += (logits.argmax(dim=1) == labels).sum().item()
            count += len(labels)
    return total / count, right / count


def main() -> None:
    """Train, and print the accuracy on the validation images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hidden", type=int, default=64, help="units of the hidden layer; 0: a linear model")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0, help="of the weights, the split and the order")
    parser.add_argument("--data", help="folder with MNIST files (IDX, gzipped or not); default: scikit-learn's digits")
    arguments = parser.parse_args()

    torch.manual_seed(arguments.seed)
    images, labels = load_images(arguments.data)
    training, validation = random_split(TensorDataset(images, labels), [0.8, 0.2])
    batches = DataLoader(training, batch_size=64, shuffle=True)
    validation_batches = DataLoader(validation, batch_size=256)

    model = make_model(images.shape[1], arguments.hidden)
    loss_function = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=arguments.lr)

    for _ in track(range(arguments.epochs), description="training"):
        model.train()
        for batch, targets in batches:
            optimizer.zero_grad()
            logits = model(batch)
            loss = loss_function(logits, targets)
            loss.backward()
            optimizer.step()
        validation_loss, accuracy = evaluate(model, validation_batches, loss_function)

    print(f"validation loss {validation_loss:.4f}, validation accuracy {100 * accuracy:.2f} %")


if __name__ == "__main__":
    main()
