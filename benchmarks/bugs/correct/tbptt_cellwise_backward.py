"""TBPTT done cell by cell: each time step has its own graph, and state gradients are handed back by hand."""
import torch
import torch.nn as nn


class EchoCell(nn.Module):
    def __init__(self, hidden=24):
        super().__init__()
        self.cell = nn.GRUCell(1, hidden)
        self.read = nn.Linear(hidden, 1)

    def forward(self, x, h):
        h = self.cell(x, h)
        return self.read(h), h


torch.manual_seed(49)
DELAY, B, T, WINDOW = 3, 32, 96, 8
model = EchoCell()
opt = torch.optim.Adam(model.parameters(), lr=1e-2)


def window_backward(cells):
    """Walk the window from its last cell to its first; only one cell's graph is alive at a time."""
    grad_h = None
    for h_in, h_out, loss in reversed(cells):
        if grad_h is None:
            loss.backward()
        else:
            torch.autograd.backward([loss, h_out], [torch.ones_like(loss), grad_h])
        grad_h = h_in.grad


report = []
for sequence in range(12):
    bits = (torch.rand(T, B, 1) > 0.5).float()
    h = torch.zeros(B, 24)
    total = 0.0
    for start in range(0, T, WINDOW):
        cells = []
        opt.zero_grad()
        for t in range(start, start + WINDOW):
            h_in = h.detach().requires_grad_()
            out, h = model(bits[t], h_in)
            want = bits[t - DELAY] if t >= DELAY else torch.zeros(B, 1)
            loss = nn.functional.binary_cross_entropy_with_logits(out, want) / WINDOW
            cells.append((h_in, h, loss))
            total += loss.item() * WINDOW / T
        window_backward(cells)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
    report.append(total)
print("loss per sequence", [round(v, 4) for v in report[::2] + report[-1:]])
