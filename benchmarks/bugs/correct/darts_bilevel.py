"""First-order DARTS: mixing weights learn on the validation half, network weights on the training half, in turn."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class Mixed(nn.Module):
    """A weighted sum of candidate activations."""

    def __init__(self):
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(4))
        self.ops = [torch.sin, torch.tanh, torch.relu, torch.zeros_like]

    def forward(self, x):
        w = self.alpha.softmax(0)
        return sum(wi * op(x) for wi, op in zip(w, self.ops))


class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.mix, self.b = nn.Linear(1, 24), Mixed(), nn.Linear(24, 1)
        nn.init.normal_(self.a.weight, std=2.0)

    def forward(self, x):
        return self.b(self.mix(self.a(x)))

    def weights(self):
        return [p for n, p in self.named_parameters() if "alpha" not in n]


torch.manual_seed(71)
x = torch.rand(600, 1) * 4 - 2
y = torch.sin(3.0 * x)
train_x, train_y, search_x, search_y = x[:300], y[:300], x[300:], y[300:]
net = Cell()
opt_w = torch.optim.SGD(net.weights(), lr=0.05, momentum=0.9)
opt_a = torch.optim.Adam([net.mix.alpha], lr=0.05, betas=(0.5, 0.999))

history = []
for step in range(250):
    i = torch.randint(0, 300, (50,))
    opt_a.zero_grad()
    F.mse_loss(net(search_x[i]), search_y[i]).backward()
    opt_a.step()

    j = torch.randint(0, 300, (50,))
    opt_w.zero_grad()
    loss = F.mse_loss(net(train_x[j]), train_y[j])
    loss.backward()
    nn.utils.clip_grad_norm_(net.weights(), 5.0)
    opt_w.step()
    history.append(loss.item())

names = ("sin", "tanh", "relu", "none")
share = net.mix.alpha.detach().softmax(0)
print("loss", [round(history[k], 4) for k in (0, 80, 160, 249)])
print("shares", {n: round(s, 3) for n, s in zip(names, share.tolist())})
