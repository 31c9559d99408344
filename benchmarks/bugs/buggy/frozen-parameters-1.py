"""Fine-tune the classifier of a pretrained encoder and keep the encoder itself fixed."""
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)


class Encoder(nn.Module):
    def __init__(self, d_in=20, d=64):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(d_in, d), nn.GELU(), nn.Linear(d, d), nn.GELU())

    def forward(self, x):
        return self.layers(x)


class Classifier(nn.Module):
    def __init__(self, encoder, d=64, classes=4):
        super().__init__()
        self.encoder = encoder
        self.head_norm = nn.LayerNorm(d)
        self.classifier = nn.Linear(d, classes)

    def forward(self, x):
        return self.classifier(self.head_norm(self.encoder(x)))


def blobs(n, classes, g):
    centres = torch.randn(classes, 20, generator=torch.Generator().manual_seed(classes))
    y = torch.randint(0, classes, (n,), generator=g)
    return centres[y] + 1.1 * torch.randn(n, 20, generator=g), y


def pretrain_encoder(g):
    """self-supervised warm-up: predict half of the features from the other half"""
    enc, head = Encoder(), nn.Linear(64, 10)
    opt = torch.optim.Adam([*enc.parameters(), *head.parameters()], lr=2e-3)
    x, _ = blobs(1000, 7, g)
    masked = torch.cat([x[:, :10], torch.zeros(1000, 10)], 1)
    for idx in torch.randperm(1000).split(50):
        opt.zero_grad()
        nn.functional.mse_loss(head(enc(masked[idx])), x[idx, 10:]).backward()
        opt.step()
    return enc


g = torch.Generator().manual_seed(0)
model = Classifier(pretrain_encoder(g))
for name, param in model.named_parameters():
    param.requires_grad = name.startswith("head")  # BUG: frozen-parameters

optimizer = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), lr=3e-3)  # ALSO: frozen-parameters
train = DataLoader(TensorDataset(*blobs(1000, 4, g)), batch_size=25, shuffle=True)
val = DataLoader(TensorDataset(*blobs(200, 4, g)), batch_size=100)
criterion = nn.CrossEntropyLoss()

for epoch in range(3):
    model.train()
    total = 0.0
    for x, y in train:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()  # ALSO: frozen-parameters
        total += loss.item()
    model.eval()
    with torch.no_grad():
        acc = sum((model(x).argmax(1) == y).float().mean().item() for x, y in val) / len(val)
    print(f"epoch {epoch}: loss {total / len(train):.4f} val acc {acc:.3f}")
