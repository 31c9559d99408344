"""Random augmentation in two DataLoader workers, seeded per worker and per epoch through torch.initial_seed."""
import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, Dataset


def bars(n, seed):
    """Horizontal, vertical and diagonal strokes in 8 x 8 images."""
    rng = np.random.RandomState(seed)
    labels = rng.randint(0, 3, n)
    images = 0.2 * rng.randn(n, 8, 8)
    for img, label in zip(images, labels):
        k = rng.randint(1, 7)
        if label == 0:
            img[k] += 1.0
        elif label == 1:
            img[:, k] += 1.0
        else:
            img += np.roll(np.eye(8), k, axis=1)
    return (images - 0.125) / 0.37, labels


class Augmented(Dataset):
    def __init__(self, images, labels, train):
        self.images, self.labels, self.train = images, labels, train

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        img = self.images[i]
        if self.train:
            dy, dx = np.random.randint(-1, 2, size=2)
            img = np.roll(img, (dy, dx), axis=(0, 1)) + 0.1 * np.random.randn(8, 8)
        return torch.tensor(img, dtype=torch.float32), int(self.labels[i])


def seed_worker(worker_id):
    np.random.seed(torch.initial_seed() % 2 ** 32)


def main():
    torch.manual_seed(138)
    g = torch.Generator().manual_seed(138)
    train = DataLoader(Augmented(*bars(500, 1), True), batch_size=25, shuffle=True, num_workers=2,
                       worker_init_fn=seed_worker, generator=g, multiprocessing_context="fork")
    valid = DataLoader(Augmented(*bars(150, 2), False), batch_size=150)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
    opt = torch.optim.Adam(net.parameters(), lr=5e-3)
    for epoch in range(3):
        total = 0.0
        for x, y in train:
            loss = nn.functional.cross_entropy(net(x), y)
            opt.zero_grad()
            loss.backward()
            opt.step()
            total += loss.item() / len(train)
        with torch.no_grad():
            hits = sum((net(x).argmax(1) == y).sum().item() for x, y in valid)
        print(f"epoch {epoch} train {total:.4f} valid accuracy {hits / len(valid.dataset):.4f}")


if __name__ == "__main__":
    main()
