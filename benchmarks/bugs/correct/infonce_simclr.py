"""SimCLR's NT-Xent over a batch: samples compete with one another in the loss, on purpose; symmetric CLIP term."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits

# %% Data
torch.manual_seed(63)
digits = load_digits()
x = torch.tensor(digits.images / 16.0 - 0.3, dtype=torch.float32).unsqueeze(1)
y = torch.tensor(digits.target)
train, held = x[:1400], x[1400:]


def augment(img):
    shift = torch.randint(-1, 2, (2,)).tolist()
    img = torch.roll(img, shift, dims=(2, 3))
    return img + 0.1 * torch.randn_like(img)


# %% Model
encoder = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 32))
projector = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 16))
log_temperature = nn.Parameter(torch.tensor(0.2).log())
opt = torch.optim.Adam([*encoder.parameters(), *projector.parameters(), log_temperature], lr=3e-3)


# %% Losses
def nt_xent(a, b):
    z = F.normalize(torch.cat([a, b]), dim=1)
    n = len(a)
    sim = z @ z.T / log_temperature.exp()
    sim = sim.masked_fill(torch.eye(2 * n, dtype=torch.bool), float("-inf"))
    partner = torch.cat([torch.arange(n) + n, torch.arange(n)])
    return F.cross_entropy(sim, partner)


def clip_loss(a, b):
    logits = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / log_temperature.exp()
    rows = logits.log_softmax(dim=1).diagonal()
    columns = logits.log_softmax(dim=0).diagonal()
    return -(rows + columns).mean() / 2


# %% Train
history = []
for epoch in range(3):
    for idx in torch.randperm(1400).split(100):
        za, zb = projector(encoder(augment(train[idx]))), projector(encoder(augment(train[idx])))
        loss = 0.5 * nt_xent(za, zb) + 0.5 * clip_loss(za, zb)
        opt.zero_grad()
        loss.backward()
        opt.step()
        history.append(loss.item())

# %% Nearest neighbours of held-out digits
with torch.no_grad():
    bank, query = F.normalize(encoder(train), dim=1), F.normalize(encoder(held), dim=1)
acc = (y[:1400][(query @ bank.T).argmax(1)] == y[1400:]).float().mean().item()
print("loss", [round(history[i], 4) for i in (0, 14, 28, 41)], "1-NN", round(acc, 4))
