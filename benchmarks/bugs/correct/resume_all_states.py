"""Trains, saves everything to a file, and resumes in new objects with model, optimizer, scheduler, RNG and epoch restored."""
import os
import tempfile

import torch
import torch.nn as nn
from sklearn.datasets import load_breast_cancer

torch.manual_seed(130)
cancer = load_breast_cancer()
order = torch.randperm(len(cancer.target))
X, Y = torch.tensor(cancer.data, dtype=torch.float32)[order], torch.tensor(cancer.target)[order]
X = (X - X[:440].mean(0)) / X[:440].std(0)


def build():
    model = nn.Sequential(nn.Linear(30, 24), nn.ReLU(), nn.Dropout(0.2), nn.Linear(24, 2))
    opt = torch.optim.Adam(model.parameters(), lr=5e-3)
    return model, opt, torch.optim.lr_scheduler.ExponentialLR(opt, gamma=0.9)


def run(model, opt, sched, start, stop):
    out = []
    for _ in range(start, stop):
        model.train()
        total = 0.0
        for idx in torch.randperm(440).split(44):
            opt.zero_grad()
            loss = nn.functional.cross_entropy(model(X[idx]), Y[idx])
            loss.backward()
            opt.step()
            total += loss.item() / 10
        sched.step()
        out.append(total)
    return out


with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "last.pt")
    model, opt, sched = build()
    first = run(model, opt, sched, 0, 3)
    torch.save({"model": model.state_dict(), "optimizer": opt.state_dict(), "scheduler": sched.state_dict(), "epoch": 3, "rng": torch.get_rng_state()}, path)
    straight = run(model, opt, sched, 3, 6)

    model, opt, sched = build()
    ckpt = torch.load(path, weights_only=True)
    model.load_state_dict(ckpt["model"])
    opt.load_state_dict(ckpt["optimizer"])
    sched.load_state_dict(ckpt["scheduler"])
    torch.set_rng_state(ckpt["rng"])
    resumed = run(model, opt, sched, ckpt["epoch"], 6)

model.eval()
with torch.no_grad():
    acc = (model(X[440:]).argmax(1) == Y[440:]).float().mean().item()
print("first ", [round(v, 4) for v in first])
print("on    ", [round(v, 4) for v in straight])
print("resume", [round(v, 4) for v in resumed], "identical:", straight == resumed, f"test {acc:.4f}")
