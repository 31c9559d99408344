"""Closures, SAM, meta-learning, optimizers in unusual places."""

from __future__ import annotations

HEAD = """
import torch
from torch import nn
torch.manual_seed(0)
model = nn.Linear(3, 1)
x, y = torch.randn(8, 3), torch.randn(8, 1)
mse = nn.functional.mse_loss
"""


def test_lbfgs_counts_every_call_of_its_closure(play):
    played = play(
        HEAD
        + """
optimizer = torch.optim.LBFGS(model.parameters(), max_iter=4, line_search_fn="strong_wolfe")
calls, count = [], 0
def closure():
    global count
    count += 1
    optimizer.zero_grad()  # clear
    loss = mse(model(x), y)  # forward
    loss.backward()  # backward
    return loss
for _ in range(2):
    count = 0
    optimizer.step(closure)  # step
    calls.append(count)
"""
    )
    one = "clear forward loss@forward backward"
    calls = played.names["calls"]
    assert calls[0] > 1
    assert played.told() == [f"closure optimizer {n}: {' '.join([one] * n)} step" for n in calls]


def test_a_closure_with_plain_sgd(play):
    played = play(
        HEAD
        + """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
def closure():
    optimizer.zero_grad()  # clear
    loss = mse(model(x), y)  # forward
    loss.backward()  # backward
    return loss
for _ in range(3):
    optimizer.step(closure)  # step
"""
    )
    assert played.told() == ["closure optimizer 1: clear forward loss@forward backward step"] * 3


SAM = """
class SAM(torch.optim.Optimizer):
    def __init__(self, params, base, rho=0.05, **options):
        super().__init__(params, {"rho": rho, **options})
        self.base = base(self.param_groups, **options)
        self.param_groups = self.base.param_groups
    @torch.no_grad()
    def first_step(self):
        for group in self.param_groups:
            for p in group["params"]:
                e = p.grad * 0.05
                p.add_(e)
                self.state[p]["e"] = e
        self.zero_grad()  # clear-first
    @torch.no_grad()
    def second_step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(self.state[p]["e"])
        self.base.step()  # base-step
        self.zero_grad()  # clear-second
    @torch.no_grad()
    def step(self, closure=None):
        closure = torch.enable_grad()(closure)
        self.first_step()
        closure()
        self.second_step()
optimizer = SAM(model.parameters(), torch.optim.SGD, lr=0.1)
"""


def test_sam_in_two_steps(play):
    """The first round's gradients moved the weights and were cleared; the base optimizer steps on the second's."""
    played = play(
        HEAD
        + SAM
        + """
for _ in range(2):
    mse(model(x), y).backward()  # climb
    optimizer.first_step()
    mse(model(x), y).backward()  # descend
    optimizer.second_step()
"""
    )
    assert [u.kind for u in played.main.updates] == ["step"] * 2
    assert played.rounds() == [["descend"]] * 2
    assert [[played.at(r.line) for r in u.discarded] for u in played.main.updates] == [["climb"]] * 2


def test_sam_with_a_closure_is_one_update(play):
    played = play(
        HEAD
        + SAM
        + """
def closure():
    loss = mse(model(x), y)  # again
    loss.backward()  # descend
    return loss
for _ in range(2):
    mse(model(x), y).backward()  # climb
    optimizer.step(closure)  # step
"""
    )
    assert [u.kind for u in played.main.updates] == ["closure"] * 2
    assert [played.owners(u) for u in played.main.updates] == ["optimizer"] * 2
    assert played.rounds() == [["climb", "descend"]] * 2


def test_maml_with_autograd_grad(play):
    """The inner steps differentiate with create_graph: they belong to the outer round."""
    played = play(
        HEAD
        + """
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
call = torch.func.functional_call
for _ in range(3):
    optimizer.zero_grad()  # clear
    total = 0.0
    for task in range(2):
        weights = dict(model.named_parameters())
        inner = mse(call(model, weights, (x,)), y * task)  # adapt
        slopes = torch.autograd.grad(inner, tuple(weights.values()), create_graph=True)  # grad
        fast = {k: w - 0.1 * g for (k, w), g in zip(weights.items(), slopes)}
        total = total + mse(call(model, fast, (x,)), y * task)  # query
    total.backward()  # backward
    optimizer.step()  # step
"""
    )
    task = "forward@adapt loss@adapt grad forward@query loss@query"
    assert played.told() == [f"step optimizer 1: clear {task} {task} backward step"] * 3
    assert [len(u.rounds[0].gradients) for u in played.main.updates] == [2] * 3


def test_first_order_maml(play):
    """Without create_graph the inner gradients are still no update: the optimizer owns those weights."""
    played = play(
        HEAD
        + """
optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
call = torch.func.functional_call
for _ in range(2):
    optimizer.zero_grad()  # clear
    weights = dict(model.named_parameters())
    slopes = torch.autograd.grad(mse(call(model, weights, (x,)), y), tuple(weights.values()))  # grad
    fast = {k: w - 0.1 * g for (k, w), g in zip(weights.items(), slopes)}
    mse(call(model, fast, (x,)), y).backward()  # backward
    optimizer.step()  # step
"""
    )
    told = "clear forward@grad loss@grad grad forward@backward loss@backward backward step"
    assert played.told() == [f"step optimizer 1: {told}"] * 2


def test_an_optimizer_inside_backward(play):
    played = play(
        """
import torch
from torch import nn
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
optimizers = {p: torch.optim.SGD([p], lr=0.1) for p in model.parameters()}
def hook(p):
    optimizers[p].step()  # step
    optimizers[p].zero_grad()  # clear
for p in model.parameters():
    p.register_post_accumulate_grad_hook(hook)
losses = []
for _ in range(4):
    output = model(torch.randn(8, 3))  # forward
    loss = nn.functional.mse_loss(output, torch.randn(8, 1))  # loss
    losses.append(loss.item())
    loss.backward()  # backward
"""
    )
    inside = " ".join(["step clear"] * 4)
    assert [u.kind for u in played.main.updates] == ["in-backward"] * 4
    assert [played.skeleton(u) for u in played.main.updates] == [f"forward loss {inside} backward"] * 4
    assert [len(u.owners) for u in played.main.updates] == [4] * 4
    assert played.rounds() == [["backward"]] * 4
    assert played.losses() == played.names["losses"]


def test_one_optimizer_per_layer(play):
    played = play(
        """
import torch
from torch import nn
torch.manual_seed(0)
first, second = nn.Linear(3, 4), nn.Linear(4, 1)
low = torch.optim.SGD(first.parameters(), lr=0.01)
high = torch.optim.Adam(second.parameters(), lr=0.1)
for _ in range(3):
    low.zero_grad(); high.zero_grad()  # clear
    hidden = first(torch.randn(8, 3)).relu()  # first
    output = second(hidden)  # second
    loss = nn.functional.mse_loss(output, torch.zeros(8, 1))  # loss
    loss.backward()  # backward
    low.step()  # step-low
    high.step()  # step-high
"""
    )
    assert (
        played.told()
        == [
            "step low 1: clear clear forward@first forward@second loss backward step@step-low",
            "step high 1: step@step-high",
        ]
        * 3
    )


def test_an_optimizer_that_calls_super_step_counts_once(play):
    played = play(
        HEAD
        + """
class Careful(torch.optim.SGD):
    def step(self, closure=None):
        return super().step(closure)  # inner
optimizer = Careful(model.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()  # clear
    mse(model(x), y).backward()  # backward
    optimizer.step()  # step
"""
    )
    told = ["step optimizer 1: clear forward@backward loss@backward backward step"] * 3
    assert played.told() == told


def test_a_custom_optimizer(play):
    played = play(
        HEAD
        + """
class Sign(torch.optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(group["lr"] * p.grad.sign())
optimizer = Sign(model.parameters(), lr=0.01)
for _ in range(3):
    optimizer.zero_grad()  # clear
    mse(model(x), y).backward()  # backward
    optimizer.step()  # step
"""
    )
    assert played.told() == ["step optimizer 1: clear forward@backward loss@backward backward step"] * 3
