"""Knowledge distillation: KLDivLoss(batchmean) between the student's log-softmax and the eval-mode teacher's softmax."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits


def batches(n, size):
    return torch.randperm(n).split(size)


def train_teacher(x, y):
    teacher = nn.Sequential(nn.Linear(64, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10))
    opt = torch.optim.Adam(teacher.parameters(), lr=5e-3)
    for _ in range(4):
        for idx in batches(len(y), 70):
            opt.zero_grad()
            F.cross_entropy(teacher(x[idx]), y[idx]).backward()
            opt.step()
    return teacher.eval()


def distill(teacher, x, y, T=3.0, alpha=0.7):
    student = nn.Sequential(nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10))
    opt = torch.optim.Adam(student.parameters(), lr=1e-2)
    kl = nn.KLDivLoss(reduction="batchmean")
    log = []
    for _ in range(6):
        for idx in batches(len(y), 70):
            with torch.no_grad():
                soft = F.softmax(teacher(x[idx]) / T, dim=1)
            logits = student(x[idx])
            loss_kd = kl(F.log_softmax(logits / T, dim=1), soft) * T * T
            loss = alpha * loss_kd + (1 - alpha) * F.cross_entropy(logits, y[idx])
            opt.zero_grad()
            loss.backward()
            opt.step()
            log.append(loss.item())
    return student.eval(), log


@torch.no_grad()
def accuracy(net, x, y):
    return (net(x).argmax(1) == y).float().mean().item()


torch.manual_seed(119)
X, Y = load_digits(return_X_y=True)
order = torch.randperm(len(Y))
X, Y = torch.tensor(X / 16 - 0.3, dtype=torch.float32)[order], torch.tensor(Y)[order]
teacher = train_teacher(X[:1400], Y[:1400])
student, log = distill(teacher, X[:1400], Y[:1400])
print(f"distillation loss {log[0]:.4f} -> {log[-1]:.4f}")
print(f"teacher {accuracy(teacher, X[1400:], Y[1400:]):.4f} student {accuracy(student, X[1400:], Y[1400:]):.4f}")
