"""Code with a --fp16 switch: without it GradScaler is built disabled, clipping is unguarded and the loop is plain."""
import argparse

import torch
import torch.nn as nn
from sklearn.datasets import load_iris


def get_args():
    p = argparse.ArgumentParser()
    p.add_argument("--fp16", action="store_true")
    p.add_argument("--epochs", type=int, default=12)
    p.add_argument("--clip", type=float, default=1.0)
    return p.parse_args()


def main():
    args = get_args()
    torch.manual_seed(97)
    iris = load_iris()
    perm = torch.randperm(150)
    X, y = torch.tensor(iris.data, dtype=torch.float32)[perm], torch.tensor(iris.target)[perm]
    X = (X - X[:110].mean(0)) / X[:110].std(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    opt = torch.optim.Adam(model.parameters(), lr=1e-2)
    scaler = torch.amp.GradScaler("cpu", enabled=args.fp16)
    for epoch in range(args.epochs):
        total = 0.0
        for idx in torch.randperm(110).split(22):
            opt.zero_grad()
            with torch.autocast("cpu", dtype=torch.float16, enabled=args.fp16):
                loss = nn.functional.cross_entropy(model(X[idx]), y[idx])
            scaler.scale(loss).backward()
            if args.fp16:
                scaler.unscale_(opt)
            nn.utils.clip_grad_norm_(model.parameters(), args.clip)
            if args.fp16:
                scaler.step(opt)
                scaler.update()
            else:
                opt.step()
            total += loss.item() / 5
        if epoch % 4 == 3:
            with torch.no_grad():
                acc = (model(X[110:]).argmax(1) == y[110:]).float().mean().item()
            print(f"epoch {epoch} loss {total:.4f} acc {acc:.4f}")


if __name__ == "__main__":
    main()
