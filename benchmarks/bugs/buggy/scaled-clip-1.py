"""Mixed-precision training of a small convolutional classifier on digits (AMP with gradient scaling)."""
import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset, random_split

device = "cuda" if torch.cuda.is_available() else "cpu"
torch.manual_seed(0)


def build_model():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(2),
        nn.Flatten(), nn.Linear(64, 10),
    )


def train_model(model, train_loader, val_loader, epochs=4, lr=0.05, gradient_clipping=1.0, amp=True):
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=1e-5)
    grad_scaler = torch.amp.GradScaler(device, enabled=amp, init_scale=4096.0)
    criterion = nn.CrossEntropyLoss()
    for epoch in range(1, epochs + 1):
        model.train()
        epoch_loss = 0.0
        for images, labels in train_loader:
            images, labels = images.to(device), labels.to(device)
            with torch.autocast(device, dtype=torch.bfloat16, enabled=amp):
                loss = criterion(model(images), labels)
            optimizer.zero_grad(set_to_none=True)
            grad_scaler.scale(loss).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), gradient_clipping)  # BUG: scaled-clip
            grad_scaler.step(optimizer)  # ALSO: scaled-clip
            grad_scaler.update()
            epoch_loss += loss.item()
        print(f"epoch {epoch}: loss {epoch_loss / len(train_loader):.4f} val acc {evaluate(model, val_loader):.3f}")


@torch.inference_mode()
def evaluate(net, loader):
    net.eval()
    hits = [(net(x.to(device)).argmax(1) == y.to(device)).float().mean().item() for x, y in loader]
    return sum(hits) / len(hits)


if __name__ == "__main__":
    d = load_digits()
    full = TensorDataset(torch.tensor(d.images).float().unsqueeze(1) / 8 - 1, torch.tensor(d.target))
    train_set, val_set = random_split(full, [1440, 357], generator=torch.Generator().manual_seed(0))
    train_model(
        build_model().to(device),
        DataLoader(train_set, batch_size=48, shuffle=True),
        DataLoader(val_set, batch_size=119),
    )
