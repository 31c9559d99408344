"""Adversarial training: PGD examples are made in eval mode from input gradients, then the net trains on them in train mode."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset


def pgd(model, x, y, eps=0.08, step=0.04, iters=3):
    was_training = model.training
    model.eval()
    delta = torch.empty_like(x).uniform_(-eps, eps)
    for _ in range(iters):
        delta.requires_grad_(True)
        loss = F.cross_entropy(model(x + delta), y)
        (grad,) = torch.autograd.grad(loss, delta)
        delta = (delta.detach() + step * grad.sign()).clamp(-eps, eps)
    model.train(was_training)
    return (x + delta).detach()


def fgsm_by_backward(model, x, y, eps=0.08):
    """The classic recipe: backward also fills the parameters, which the caller clears."""
    model.eval()
    x = x.clone().requires_grad_(True)
    F.cross_entropy(model(x), y).backward()
    adv = (x + eps * x.grad.sign()).detach()
    model.zero_grad()
    model.train()
    return adv


torch.manual_seed(110)
X, Y = load_digits(return_X_y=True)
order = torch.randperm(len(Y))
X, Y = torch.tensor(X / 16 - 0.3, dtype=torch.float32)[order], torch.tensor(Y)[order]
loader = DataLoader(TensorDataset(X[:1400], Y[:1400]), batch_size=70, shuffle=True)
Xt, Yt = X[1400:], Y[1400:]
model = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 10))
opt = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
for epoch in range(3):
    total = 0.0
    model.train()
    for i, (x, y) in enumerate(loader):
        adv = pgd(model, x, y) if i % 2 else fgsm_by_backward(model, x, y)
        loss = 0.5 * F.cross_entropy(model(x), y) + 0.5 * F.cross_entropy(model(adv), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item() / len(loader)
    adv = pgd(model, Xt, Yt)
    model.eval()
    with torch.no_grad():
        clean, robust = [(model(v).argmax(1) == Yt).float().mean().item() for v in (Xt, adv)]
    print(f"epoch {epoch} loss {total:.4f} clean {clean:.4f} robust {robust:.4f}")
