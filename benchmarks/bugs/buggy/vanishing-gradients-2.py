"""Plain deep convolutional network on small textures with a custom weight initialisation."""
import torch
import torch.nn as nn
import torch.nn.functional as F


def init_weights(m):
    if isinstance(m, (nn.Conv2d, nn.Linear)):
        nn.init.normal_(m.weight, mean=0.0, std=0.01)  # BUG: vanishing-gradients
        nn.init.zeros_(m.bias)


class PlainConvNet(nn.Module):
    def __init__(self, depth=7, width=12, classes=3):
        super().__init__()
        self.convs = nn.ModuleList(
            [nn.Conv2d(1 if i == 0 else width, width, 3, padding=1) for i in range(depth)])
        self.fc = nn.Linear(width * 9, classes)
        self.apply(init_weights)  # ALSO: vanishing-gradients

    def forward(self, x):
        for conv in self.convs:
            x = F.relu(conv(x))
        return self.fc(F.adaptive_avg_pool2d(x, 3).flatten(1))


def textures(n, size=10):
    y = torch.randint(0, 3, (n,))
    x = 0.3 * torch.randn(n, size, size)
    shift = torch.randint(0, 2, (n,))
    for i in range(n):
        if y[i] == 0:
            x[i, shift[i]::2, :] += 1
        elif y[i] == 1:
            x[i, :, shift[i]::2] += 1
        else:
            x[i, shift[i]::2, ::2] += 1
            x[i, 1 - shift[i]::2, 1::2] += 1
    return (x - 0.5).unsqueeze(1), y


class Trainer:
    def __init__(self, model, lr=0.05):
        self.model = model
        self.optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)

    def fit(self, x, y, val, epochs, batch=32):
        for epoch in range(epochs):
            self.model.train()
            for idx in torch.randperm(len(x)).split(batch):
                loss = F.cross_entropy(self.model(x[idx]), y[idx])  # ALSO: vanishing-gradients
                self.optimizer.zero_grad()
                loss.backward()  # ALSO: vanishing-gradients
                self.optimizer.step()
            print(f"epoch {epoch}: loss {loss.item():.4f} val acc {self.accuracy(*val):.3f}")

    @torch.no_grad()
    def accuracy(self, x, y):
        self.model.eval()
        return (self.model(x).argmax(1) == y).float().mean().item()


torch.manual_seed(0)
train, val = textures(800), textures(200)
Trainer(PlainConvNet()).fit(*train, val, epochs=4)
