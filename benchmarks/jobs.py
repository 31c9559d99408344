"""The training jobs that are measured: from the smallest real one to a compute-bound one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Batch = tuple[torch.Tensor, torch.Tensor]


def _image_batches(device: str, batch: int, *, flat: bool) -> Iterator[Batch]:
    """Batches of MNIST's shape, sliced from tensors in memory: no loader is cheaper."""
    shape = (784,) if flat else (1, 28, 28)
    images = torch.randn(64 * batch, *shape, device=device)
    labels = torch.randint(0, 10, (64 * batch,), device=device)
    while True:
        for start in range(0, len(images), batch):
            yield images[start : start + batch], labels[start : start + batch]


def _sequences(device: str) -> Iterator[Batch]:
    tokens = torch.randint(0, 256, (64, 65), device=device)
    while True:
        for start in range(0, len(tokens), 8):
            part = tokens[start : start + 8]
            yield part[:, :-1], part[:, 1:]


class _Transformer(nn.Module):
    """Four encoder layers over 64 tokens of 256 kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(256, 128)
        layer = nn.TransformerEncoderLayer(128, 4, 512, dropout=0.1, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 4)
        self.head = nn.Linear(128, 256)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Scores for each place, as cross-entropy wants them: batch x classes x places."""
        return self.head(self.layers(self.embed(tokens))).transpose(1, 2)


def _linear(device: str) -> tuple[nn.Module, Iterator[Batch]]:
    return nn.Linear(784, 10), _image_batches(device, 64, flat=True)


def _mlp(device: str) -> tuple[nn.Module, Iterator[Batch]]:
    model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))
    return model, _image_batches(device, 64, flat=True)


def _cnn(device: str) -> tuple[nn.Module, Iterator[Batch]]:
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 49, 10),
    )
    return model, _image_batches(device, 64, flat=False)


def _transformer(device: str) -> tuple[nn.Module, Iterator[Batch]]:
    return _Transformer(), _sequences(device)


#: Name -> what makes it, and after how many updates its loop is in its steady state.
JOBS: dict[str, tuple[Callable[[str], tuple[nn.Module, Iterator[Batch]]], int]] = {
    "linear 784-10": (_linear, 6000),
    "MLP 784-256-256-10": (_mlp, 4000),
    "CNN, 2 convolutions": (_cnn, 200),
    "transformer, 4 layers": (_transformer, 60),
}


def make(name: str, device: str) -> Callable[[int], None]:
    """A function that makes so many updates of the job ``name``, the way tutorials write them."""
    torch.manual_seed(0)
    model, batches = JOBS[name][0](device)
    model.to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loss_function = nn.CrossEntropyLoss()

    def train(updates: int) -> None:
        for _ in range(updates):
            inputs, targets = next(batches)
            optimizer.zero_grad()
            loss = loss_function(model(inputs), targets)
            loss.backward()
            optimizer.step()
        if device != "cpu":
            torch.cuda.synchronize()

    return train
