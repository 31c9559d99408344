"""Knowledge distillation of a digits teacher into a small student."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
TEMPERATURE, ALPHA = 3.0, 0.6

d = load_digits()
X, Y = torch.tensor(d.data, dtype=torch.float32) / 16, torch.tensor(d.target)
order = torch.randperm(len(X))
train_set = TensorDataset(X[order[:1440]], Y[order[:1440]])
X_val, Y_val = X[order[1440:]], Y[order[1440:]]
loader = DataLoader(train_set, batch_size=48, shuffle=True)

teacher = nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Dropout(0.2), nn.Linear(96, 10))
student = nn.Sequential(nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10))


def accuracy(net):
    net.eval()
    with torch.no_grad():
        return (net(X_val).argmax(1) == Y_val).float().mean().item()


# teacher
opt = torch.optim.Adam(teacher.parameters(), lr=3e-3)
for epoch in range(2):
    teacher.train()
    for x, y in loader:
        opt.zero_grad()
        F.cross_entropy(teacher(x), y).backward()
        opt.step()
print("teacher accuracy", round(accuracy(teacher), 3))

# student
teacher.eval()
kl = nn.KLDivLoss(reduction="batchmean")
opt = torch.optim.Adam(student.parameters(), lr=3e-3)
for epoch in range(4):
    student.train()
    for x, y in loader:
        with torch.no_grad():
            teacher_logits = teacher(x)
        student_logits = student(x)
        soft_loss = kl(F.softmax(student_logits / TEMPERATURE, dim=1),  # BUG: malformed-kl-divergence
                       F.softmax(teacher_logits / TEMPERATURE, dim=1)) * TEMPERATURE ** 2  # ALSO: malformed-kl-divergence
        hard_loss = F.cross_entropy(student_logits, y)
        loss = ALPHA * soft_loss + (1 - ALPHA) * hard_loss
        opt.zero_grad()
        loss.backward()
        opt.step()
    print(f"epoch {epoch}: soft {soft_loss.item():.4f} hard {hard_loss.item():.4f} student acc {accuracy(student):.3f}")
