"""AMP training of an MLP-Mixer style network on the digits."""
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

torch.manual_seed(13)

d = load_digits()
x_train, x_val, y_train, y_val = train_test_split(d.images, d.target, test_size=0.2, random_state=13)
to_patches = lambda a: torch.tensor(a / 16.0, dtype=torch.float32).unfold(1, 2, 2).unfold(2, 2, 2).reshape(-1, 16, 4)
x_train, x_val = to_patches(x_train), to_patches(x_val)
y_train, y_val = torch.tensor(y_train), torch.tensor(y_val)


class MixerLayer(nn.Module):
    def __init__(self, tokens, dim):
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.token_mlp = nn.Sequential(nn.Linear(tokens, 32), nn.GELU(), nn.Linear(32, tokens))
        self.channel_mlp = nn.Sequential(nn.Linear(dim, 48), nn.GELU(), nn.Linear(48, dim))

    def forward(self, x):
        x = x + self.token_mlp(self.n1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channel_mlp(self.n2(x))


class Mixer(nn.Module):
    def __init__(self, dim=24, depth=2):
        super().__init__()
        self.proj = nn.Linear(4, dim)
        self.layers = nn.Sequential(*[MixerLayer(16, dim) for _ in range(depth)])
        self.head = nn.Linear(dim, 10)

    def forward(self, x):
        return self.head(self.layers(self.proj(x)).mean(1))


model = Mixer()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
scaler = torch.amp.GradScaler("cpu")
criterion = nn.CrossEntropyLoss()

for epoch in range(4):
    model.train()
    for idx in torch.randperm(len(x_train)).split(48):
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = criterion(model(x_train[idx]), y_train[idx])
        scaler.scale(loss).backward()  # ALSO: bypassed-scaler
        optimizer.step()  # BUG: bypassed-scaler
    model.eval()
    with torch.no_grad():
        acc = (model(x_val).argmax(1) == y_val).float().mean()
    print(f"epoch {epoch} last loss {loss.item():.4f} val acc {acc:.3f}")
