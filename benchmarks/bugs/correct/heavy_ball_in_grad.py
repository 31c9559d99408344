"""Heavy-ball momentum that lives in p.grad itself: after each step the gradient is decayed instead of cleared."""
import torch
import torch.nn as nn

torch.manual_seed(172)
MOMENTUM, LR = 0.8, 0.02
A = torch.randn(10, 3)


def batch(n):
    x = torch.randn(n, 10)
    return x, (x @ A).argmax(1)


model = nn.Linear(10, 3)
reference = nn.Linear(10, 3)
reference.load_state_dict(model.state_dict())
opt = torch.optim.SGD(model.parameters(), lr=LR)
ref_opt = torch.optim.SGD(reference.parameters(), lr=LR, momentum=MOMENTUM)

losses, gap = [], 0.0
for step in range(200):
    x, y = batch(64)
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()                       # adds to what is left of the earlier gradients
    opt.step()
    for p in model.parameters():
        p.grad.mul_(MOMENTUM)
    losses.append(loss.item())

    ref_opt.zero_grad()
    nn.functional.cross_entropy(reference(x), y).backward()
    ref_opt.step()
    gap = max(gap, (model.weight - reference.weight).abs().max().item())

print("loss", [round(losses[k], 4) for k in (0, 60, 120, 199)])
print("the same as torch's momentum:", gap < 1e-4)
