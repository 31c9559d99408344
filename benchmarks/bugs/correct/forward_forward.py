"""Forward-Forward: layers overload train(x_pos, x_neg), learn locally, and hand on detached activations."""
import torch
import torch.nn as nn
from sklearn.datasets import load_digits


def overlay(x, y):
    out = x.clone()
    out[:, :10] = 0.0
    out[torch.arange(len(x)), y] = 3.0
    return out


class Layer(nn.Linear):
    def __init__(self, i, o, threshold=1.0, epochs=150):
        super().__init__(i, o)
        self.opt = torch.optim.Adam(self.parameters(), lr=0.1)
        self.threshold, self.epochs = threshold, epochs

    def forward(self, x):
        direction = x / (x.norm(2, 1, keepdim=True) + 1e-4)
        return torch.relu(direction @ self.weight.T + self.bias.unsqueeze(0))

    def train(self, x_pos, x_neg):
        log = []
        for _ in range(self.epochs):
            idx = torch.randperm(len(x_pos))[:256]
            g_pos = self.forward(x_pos[idx]).pow(2).mean(1)
            g_neg = self.forward(x_neg[idx]).pow(2).mean(1)
            loss = torch.nn.functional.softplus(torch.cat([-g_pos + self.threshold, g_neg - self.threshold])).mean()
            self.opt.zero_grad()
            loss.backward()
            self.opt.step()
            log.append(loss.item())
        return self.forward(x_pos).detach(), self.forward(x_neg).detach(), log


class Net(nn.Module):
    def __init__(self, dims):
        super().__init__()
        self.layers = nn.ModuleList(Layer(a, b) for a, b in zip(dims[:-1], dims[1:]))

    @torch.no_grad()
    def predict(self, x):
        goodness = []
        for label in range(10):
            h, total = overlay(x, torch.full((len(x),), label)), 0.0
            for layer in self.layers:
                h = layer(h)
                total = total + h.pow(2).mean(1)
            goodness.append(total)
        return torch.stack(goodness, 1).argmax(1)

    def train(self, x_pos, x_neg):
        for i, layer in enumerate(self.layers):
            x_pos, x_neg, log = layer.train(x_pos, x_neg)
            print(f"layer {i}: {log[0]:.4f} -> {log[-1]:.4f}")


torch.manual_seed(70)
X, Y = load_digits(return_X_y=True)
perm = torch.randperm(len(Y))
X, Y = torch.tensor(X / 16, dtype=torch.float32)[perm], torch.tensor(Y)[perm]
X = torch.cat([torch.zeros(len(X), 10), X], 1)
x, y, xt, yt = X[:1400], Y[:1400], X[1400:], Y[1400:]
net = Net([74, 200, 200])
wrong = (y + torch.randint(1, 10, y.shape)) % 10
net.train(overlay(x, y), overlay(x, wrong))
print("test accuracy", round((net.predict(xt) == yt).float().mean().item(), 4))
