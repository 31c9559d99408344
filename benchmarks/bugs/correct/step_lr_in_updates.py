"""StepLR and ExponentialLR whose periods are counted in updates, so that both are stepped per batch."""
import torch
import torch.nn as nn

torch.manual_seed(33)
UPDATES = 200
teacher = nn.Sequential(nn.Linear(8, 12), nn.Tanh(), nn.Linear(12, 1)).requires_grad_(False)
student = nn.Sequential(nn.Linear(8, 48), nn.Tanh(), nn.Linear(48, 1))
opt = torch.optim.Adam(student.parameters(), lr=1e-2)
sched = torch.optim.lr_scheduler.ChainedScheduler([
    torch.optim.lr_scheduler.StepLR(opt, step_size=80, gamma=0.5),
    torch.optim.lr_scheduler.ExponentialLR(opt, gamma=0.997),
])
fixed_x = torch.randn(256, 8)
fixed_y = teacher(fixed_x)


def probe():
    with torch.no_grad():
        return nn.functional.mse_loss(student(fixed_x), fixed_y).item()


report = [(0, probe(), opt.param_groups[0]["lr"])]
for update in range(1, UPDATES + 1):
    x = torch.randn(50, 8)
    loss = nn.functional.mse_loss(student(x), teacher(x))
    opt.zero_grad(set_to_none=False)
    loss.backward()
    opt.step()
    sched.step()
    if update % 50 == 0:
        report.append((update, probe(), opt.param_groups[0]["lr"]))
for row in report:
    print("update %d  probe mse %.5f  lr %.6f" % row)
