"""Shape/colour multi-task network: shared encoder and two heads, one optimizer per part."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(6)


def draw(n):
    shape, colour = torch.randint(0, 3, (n,)), torch.randint(0, 3, (n,))
    img = 0.15 * torch.randn(n, 3, 12, 12)
    for i in range(n):
        r, c = torch.randint(2, 6, (2,)).tolist()
        canvas = torch.zeros(12, 12)
        if shape[i] == 0:
            canvas[r:r + 5, c:c + 5] = 1
        elif shape[i] == 1:
            canvas[r + 2, c:c + 5] = 1
            canvas[r:r + 5, c + 2] = 1
        else:
            canvas[range(r, r + 5), range(c, c + 5)] = 1
        img[i, colour[i]] += canvas
    return TensorDataset(img, shape, colour)


class MultiTask(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.AdaptiveMaxPool2d(2), nn.Flatten())
        self.shape_head = nn.Linear(96, 3)
        self.colour_head = nn.Linear(96, 3)

    def forward(self, x):
        z = self.encoder(x)
        return self.shape_head(z), self.colour_head(z)


train_loader = DataLoader(draw(960), batch_size=32, shuffle=True)
val_loader = DataLoader(draw(240), batch_size=120)

model = MultiTask()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
head_optimizer = torch.optim.Adam(  # ALSO: double-step
    [*model.shape_head.parameters(), *model.colour_head.parameters()], lr=2e-3)

for epoch in range(4):
    model.train()
    for img, shape, colour in train_loader:
        s, c = model(img)
        loss = F.cross_entropy(s, shape) + F.cross_entropy(c, colour)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()  # ALSO: double-step
        head_optimizer.step()  # BUG: double-step
    model.eval()
    ok_s = ok_c = n = 0
    with torch.no_grad():
        for img, shape, colour in val_loader:
            s, c = model(img)
            ok_s += (s.argmax(1) == shape).sum().item()
            ok_c += (c.argmax(1) == colour).sum().item()
            n += len(img)
    print(f"epoch {epoch}: shape acc {ok_s / n:.3f} colour acc {ok_c / n:.3f}")
