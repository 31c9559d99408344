"""Mean teacher: a few labelled points, a consistency loss against an EMA copy that is never in an optimizer."""
import copy

import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import make_moons


@torch.no_grad()
def update_ema(teacher, student, decay):
    for t, s in zip(teacher.parameters(), student.parameters()):
        t.mul_(decay).add_(s, alpha=1 - decay)
    for t, s in zip(teacher.buffers(), student.buffers()):
        t.copy_(s)


def main():
    torch.manual_seed(60)
    X, y = make_moons(900, noise=0.12, random_state=60)
    X, y = torch.tensor(X, dtype=torch.float32), torch.tensor(y)
    X = (X - X[:700].mean(0)) / X[:700].std(0)
    labelled, unlabelled = slice(0, 40), slice(40, 700)
    Xl, yl, Xu, Xt, yt = X[labelled], y[labelled], X[unlabelled], X[700:], y[700:]

    student = nn.Sequential(nn.Linear(2, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 2))
    teacher = copy.deepcopy(student)
    for p in teacher.parameters():
        p.requires_grad_(False)
    opt = torch.optim.Adam(student.parameters(), lr=5e-3)

    log = []
    for step in range(150):
        pick = torch.randint(0, 40, (20,))
        xl, target = Xl[pick], yl[pick]
        xu = Xu[torch.randint(0, len(Xu), (60,))]
        with torch.no_grad():
            teacher_prob = teacher(xu + 0.05 * torch.randn_like(xu)).softmax(-1)   # train mode, own noise
        logits = student(torch.cat([xl, xu + 0.05 * torch.randn_like(xu)]))
        supervised = F.cross_entropy(logits[:20], target)
        consistency = F.mse_loss(logits[20:].softmax(-1), teacher_prob)
        loss = supervised + min(1.0, step / 50) * consistency
        opt.zero_grad()
        loss.backward()
        opt.step()
        update_ema(teacher, student, decay=0.95)
        log.append((supervised.item(), consistency.item()))

    teacher.eval()
    with torch.no_grad():
        acc = (teacher(Xt).argmax(1) == yt).float().mean().item()
    print("supervised %.4f consistency %.5f" % log[0])
    print("supervised %.4f consistency %.5f" % log[-1])
    print(f"teacher accuracy {acc:.4f}")


if __name__ == "__main__":
    main()
