"""Logistic regression on breast-cancer data with torch.no_grad updates, manual momentum and p.grad = None."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split


def load():
    X, y = load_breast_cancer(return_X_y=True)
    Xtr, Xte, ytr, yte = train_test_split(X, y, random_state=7, stratify=y)
    mu, sd = Xtr.mean(0), Xtr.std(0)
    to = lambda a: torch.tensor(a, dtype=torch.float32)
    return to((Xtr - mu) / sd), to(ytr), to((Xte - mu) / sd), to(yte)


def sgd_update(model, velocity, lr, momentum):
    with torch.no_grad():
        for p in model.parameters():
            v = velocity.setdefault(p, torch.zeros_like(p))
            v.mul_(momentum).add_(p.grad)
            p -= lr * v
            p.grad = None


def main():
    torch.manual_seed(7)
    Xtr, ytr, Xte, yte = load()
    model = nn.Linear(Xtr.shape[1], 1)
    velocity = {}
    losses = []
    for epoch in range(5):
        lr = 0.1 * 0.8 ** epoch
        for idx in torch.randperm(len(Xtr)).split(64):
            loss = F.binary_cross_entropy_with_logits(model(Xtr[idx]).squeeze(-1), ytr[idx])
            loss.backward()
            sgd_update(model, velocity, lr, momentum=0.8)
            losses.append(loss.item())
    with torch.no_grad():
        acc = ((model(Xte).squeeze(-1) > 0).float() == yte).float().mean().item()
    print(f"loss {losses[0]:.4f} -> {sum(losses[-5:]) / 5:.4f}, test accuracy {acc:.4f}")


main()
