"""All gradients are views into one flat buffer, which is cleared, clipped and averaged as one vector."""
import torch
import torch.nn as nn
from sklearn.datasets import load_breast_cancer


class FlatGrads:
    def __init__(self, params):
        self.params = list(params)
        self.buffer = torch.zeros(sum(p.numel() for p in self.params))
        offset = 0
        for p in self.params:
            p.grad = self.buffer[offset:offset + p.numel()].view_as(p)
            offset += p.numel()

    def zero(self):
        self.buffer.zero_()

    def clip(self, max_norm):
        norm = self.buffer.norm()
        self.buffer.mul_((max_norm / (norm + 1e-6)).clamp(max=1.0))
        return norm.item()


torch.manual_seed(171)
cancer = load_breast_cancer()
perm = torch.randperm(len(cancer.target))
X, y = torch.tensor(cancer.data, dtype=torch.float32)[perm], torch.tensor(cancer.target)[perm]
X = (X - X[:450].mean(0)) / X[:450].std(0)
net = nn.Sequential(nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 2))
opt = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
grads = FlatGrads(net.parameters())
losses, norms = [], []
for epoch in range(4):
    for idx in torch.randperm(450).split(45):
        grads.zero()
        loss = nn.functional.cross_entropy(net(X[idx]), y[idx])
        loss.backward()
        norms.append(grads.clip(1.0))
        opt.step()
        losses.append(loss.item())
assert net[0].weight.grad.data_ptr() == grads.buffer.data_ptr()
with torch.no_grad():
    acc = (net(X[450:]).argmax(1) == y[450:]).float().mean().item()
print(f"loss {losses[0]:.4f} -> {sum(losses[-10:]) / 10:.4f} largest norm {max(norms):.3f} test {acc:.4f}")
