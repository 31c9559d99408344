"""CNN under bfloat16 autocast on CPU, fp32 weights, no scaler; evaluation under autocast as well."""
import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset


class ConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.GroupNorm(4, 8), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1), nn.GroupNorm(4, 16), nn.ReLU(), nn.AdaptiveAvgPool2d(2))
        self.classifier = nn.Linear(64, 10)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


torch.manual_seed(94)
d = load_digits()
images, labels = torch.tensor(d.images / 16 - 0.3, dtype=torch.float32).unsqueeze(1), torch.tensor(d.target)
perm = torch.randperm(len(labels))
train = DataLoader(TensorDataset(images[perm[:1400]], labels[perm[:1400]]), 50, shuffle=True)
model, loss_fn = ConvNet(), nn.CrossEntropyLoss()
opt = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
for epoch in range(2):
    model.train()
    total = 0.0
    for x, y in train:
        opt.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_fn(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        total += loss.item() / len(train)
    model.eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        out = model(images[perm[1400:]])
    acc = (out.argmax(1) == labels[perm[1400:]]).float().mean().item()
    print(f"epoch {epoch} loss {total:.3f} acc {acc:.3f} output {out.dtype} weights {model.classifier.weight.dtype}")
