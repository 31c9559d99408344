"""A background thread evaluates copied snapshots from a queue while the main thread goes on training."""
import copy
import queue
import threading

import torch
import torch.nn as nn
from sklearn.datasets import load_digits

torch.set_num_threads(1)
torch.manual_seed(105)
X, Y = load_digits(return_X_y=True)
order = torch.randperm(len(Y))
X, Y = torch.tensor(X / 16 - 0.3, dtype=torch.float32)[order], torch.tensor(Y)[order]
train_x, train_y, test_x, test_y = X[:1400], Y[:1400], X[1400:], Y[1400:]

jobs, results = queue.Queue(), {}


def evaluator():
    while (job := jobs.get()) is not None:
        step, model = job
        model.eval()
        with torch.no_grad():
            results[step] = (model(test_x).argmax(1) == test_y).float().mean().item()


model = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Dropout(0.1), nn.Linear(48, 10))
opt = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
thread = threading.Thread(target=evaluator)
thread.start()
step, losses = 0, []
for epoch in range(3):
    for idx in torch.randperm(1400).split(70):
        opt.zero_grad()
        loss = nn.functional.cross_entropy(model(train_x[idx]), train_y[idx])
        loss.backward()
        opt.step()
        losses.append(loss.item())
        step += 1
        if step % 15 == 0:
            jobs.put((step, copy.deepcopy(model)))
jobs.put(None)
thread.join()
print(f"loss {losses[0]:.4f} -> {losses[-1]:.4f}")
for s in sorted(results):
    print(f"step {s} accuracy {results[s]:.4f}")
