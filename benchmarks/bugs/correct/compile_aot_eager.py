"""Trains a compiled module (aot_eager backend) through the compiled handle and evaluates the same weights."""
import torch
import torch._dynamo
import torch.nn as nn

torch.manual_seed(102)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(6, 32), nn.Linear(32, 2)
        self.drop = nn.Dropout(0.05)

    def forward(self, x):
        return self.fc2(self.drop(torch.relu(self.fc1(x))))


def labels(x):
    return ((x[:, :3] ** 2).sum(1) > (x[:, 3:] ** 2).sum(1)).long()


net = Net()
compiled = torch.compile(net, backend="aot_eager")
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
x_train, x_test = torch.randn(640, 6), torch.randn(320, 6)
history = []
for epoch in range(8):
    compiled.train()
    for idx in torch.randperm(640).split(64):
        loss = nn.functional.cross_entropy(compiled(x_train[idx]), labels(x_train[idx]))
        opt.zero_grad()
        loss.backward()
        opt.step()
        history.append(loss.item())
net.eval()
with torch.no_grad():
    acc = (net(x_test).argmax(1) == labels(x_test)).float().mean().item()
breaks = sum(torch._dynamo.utils.counters["graph_break"].values())
print(f"loss {history[0]:.4f} -> {history[-1]:.4f} acc {acc:.4f} graph breaks {breaks}")
