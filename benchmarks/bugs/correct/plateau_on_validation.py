"""Ridge-like regression with ReduceLROnPlateau fed by the validation loss once per epoch, and early stopping."""
import torch
import torch.nn as nn
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

torch.manual_seed(27)
X, y = load_diabetes(return_X_y=True)
Xtr, Xva, ytr, yva = train_test_split(X, y, test_size=0.3, random_state=27)
sx, sy = Xtr.std(), ytr.std()
f = lambda a: torch.tensor(a, dtype=torch.float32)
Xtr, Xva = f(Xtr / sx), f(Xva / sx)
ytr, yva = f((ytr - 152.0) / sy), f((yva - 152.0) / sy)

net = nn.Sequential(nn.Linear(10, 16), nn.ELU(), nn.Linear(16, 1))
opt = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
sched = torch.optim.lr_scheduler.ReduceLROnPlateau(opt, factor=0.3, patience=1, threshold=1e-3)

best, bad, history = float("inf"), 0, []
for epoch in range(25):
    net.train()
    for idx in torch.randperm(len(ytr)).split(31):
        opt.zero_grad()
        nn.functional.mse_loss(net(Xtr[idx]).squeeze(-1), ytr[idx]).backward()
        opt.step()
    net.eval()
    with torch.no_grad():
        val = nn.functional.mse_loss(net(Xva).squeeze(-1), yva).item()
    sched.step(val)
    history.append((val, opt.param_groups[0]["lr"]))
    if val < best - 1e-4:
        best, bad = val, 0
    else:
        bad += 1
        if bad == 6:
            break

print("epochs run", len(history))
print(f"val first {history[0][0]:.4f} best {best:.4f} final lr {history[-1][1]:.5f}")
