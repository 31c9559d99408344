"""Transfer learning: a CNN backbone is frozen and held in eval mode (batch norm included); only a new head trains."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits

torch.manual_seed(40)
d = load_digits()
images = torch.tensor(d.images / 16 - 0.3, dtype=torch.float32).unsqueeze(1)
labels = torch.tensor(d.target)
low, high = (labels < 5).nonzero().squeeze(1), (labels >= 5).nonzero().squeeze(1)

backbone = nn.Sequential(
    nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(12, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.1))


def run(head, params, idx, offset, epochs, lr):
    opt = torch.optim.Adam(params, lr=lr)
    means = []
    for _ in range(epochs):
        total, count = 0.0, 0
        for b in idx[torch.randperm(len(idx))].split(64):
            opt.zero_grad()
            loss = F.cross_entropy(head(backbone(images[b])), labels[b] - offset)
            loss.backward()
            opt.step()
            total += loss.item() * len(b)
            count += len(b)
        means.append(total / count)
    return means


# pre-train on 0..4
pre_head = nn.Linear(96, 5)
backbone.train()
pre = run(pre_head, [*backbone.parameters(), *pre_head.parameters()], low, 0, 2, 5e-3)

# transfer to 5..9
for p in backbone.parameters():
    p.requires_grad = False
backbone.eval()
stats = backbone[1].running_mean.clone()
head = nn.Linear(96, 5)
train_idx, test_idx = high[:700], high[700:]
post = run(head, head.parameters(), train_idx, 5, 3, 1e-2)

with torch.no_grad():
    acc = (head(backbone(images[test_idx])).argmax(1) == labels[test_idx] - 5).float().mean().item()
print("pre-training", [round(v, 4) for v in pre])
print("transfer", [round(v, 4) for v in post], f"accuracy {acc:.4f}")
print("running statistics kept:", torch.equal(stats, backbone[1].running_mean))
