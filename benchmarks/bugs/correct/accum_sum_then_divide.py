"""Sum-reduced Poisson regression: micro-batch gradients are summed, then divided in place by the sample count."""
import torch
from torch import nn

torch.manual_seed(4)
w_true = torch.tensor([0.6, -0.4, 0.2, 0.0])
x = torch.randn(512, 4)
counts = torch.poisson(torch.exp(x @ w_true + 0.3))

net = nn.Linear(4, 1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.2)
nll = nn.PoissonNLLLoss(log_input=True, reduction="sum")

losses = []
for epoch in range(6):
    perm = torch.randperm(len(x))
    for chunk in perm.split(128):                 # one update per 128 samples
        for p in net.parameters():
            p.grad = None
        seen, running = 0, 0.0
        for micro in chunk.split(32):             # what fits into memory
            loss = nll(net(x[micro]).squeeze(1), counts[micro])
            loss.backward()
            running += loss.item()
            seen += len(micro)
        with torch.no_grad():
            for p in net.parameters():
                p.grad.div_(seen)
        optimizer.step()
        losses.append(running / seen)

print(f"first {losses[0]:.4f}  last {losses[-1]:.4f}")
print("weights", [round(v, 2) for v in net.weight.flatten().tolist()], "bias", round(net.bias.item(), 2))
