"""torch.compile: watching adds no graph, no graph break and no recompilation, and changes no bit."""

from __future__ import annotations

import contextlib

import pytest
import torch
from torch import nn

import stepscope
from stepscope.record import events as ev

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
BACKEND = "aot_eager"


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.drop, self.last = nn.Linear(8, 16), nn.Dropout(0.2), nn.Linear(16, 3)

    def forward(self, x):
        return self.last(self.drop(torch.relu(self.first(x))))


def loop(model, optimizer, updates=12, criterion=nn.functional.cross_entropy, step=None, clip=None, evaluate=None):
    for _ in range(updates):
        inputs, targets = torch.randn(16, 8), torch.randint(0, 3, (16,))
        optimizer.zero_grad()
        criterion(model(inputs), targets).backward()
        if clip:
            clip(list(model.parameters()))
        (step or optimizer.step)()
        if evaluate:
            evaluate(inputs)


def compile_before(net, optimizer, watched):
    compiled = torch.compile(net, backend=BACKEND)
    loop(compiled, optimizer, 3)
    with watched:
        loop(compiled, optimizer)


def wrap_before(net, optimizer, watched):
    compiled = torch.compile(net, backend=BACKEND)
    with watched:
        loop(compiled, optimizer)


def compile_inside(net, optimizer, watched):
    with watched:
        loop(torch.compile(net, backend=BACKEND), optimizer)


def compile_a_submodule(net, optimizer, watched):
    with watched:
        net.first = torch.compile(net.first, backend=BACKEND)
        loop(net, optimizer)


def compile_in_place(net, optimizer, watched):
    with watched:
        net.compile(backend=BACKEND)
        loop(net, optimizer)


def compile_the_loss(net, optimizer, watched):
    def criterion(logits, targets):
        return nn.functional.cross_entropy(logits, targets) + nn.functional.mse_loss(logits, logits.detach())

    with watched:
        loop(net, optimizer, criterion=torch.compile(criterion, backend=BACKEND))


def compile_the_step(net, optimizer, watched):
    with watched:
        loop(net, optimizer, step=torch.compile(optimizer.step, backend=BACKEND))


def compile_the_clipping(net, optimizer, watched):
    def clip(parameters):
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)

    with watched:
        loop(net, optimizer, clip=torch.compile(clip, backend=BACKEND))


def compile_an_evaluation(net, optimizer, watched):
    @torch.compile(backend=BACKEND)
    def evaluate(inputs):
        net.eval()
        with torch.no_grad():
            outputs = net(inputs)
        net.train()
        return outputs

    with watched:
        loop(net, optimizer, evaluate=evaluate)


def compile_the_whole_update(net, optimizer, watched):
    @torch.compile(backend=BACKEND)
    def update(inputs, targets):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(inputs), targets).backward()
        optimizer.step()

    with watched:
        for _ in range(12):
            update(torch.randn(16, 8), torch.randint(0, 3, (16,)))


#: Where the script itself makes torch break the graph, frames of torch's own may be counted differently.
CASES = [
    compile_before,
    wrap_before,
    compile_inside,
    compile_a_submodule,
    compile_in_place,
    compile_the_loss,
    compile_the_clipping,
    compile_an_evaluation,
]
BREAKING = [compile_the_step, compile_the_whole_update]


def measure(case, watched, digest, seed):
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    seed()
    net = Net()
    case(net, torch.optim.AdamW(net.parameters()), watched)
    breaks = sum(counters["graph_break"].values())
    return digest(net), breaks, dict(counters["stats"]), dict(counters["frames"])


@pytest.mark.parametrize("case", CASES + BREAKING)
def test_no_graph_no_break_no_recompilation_more(case, record, digest, seed):
    bare = measure(case, contextlib.nullcontext(), digest, seed)
    watch = stepscope.watch(record)
    watched = measure(case, watch, digest, seed)
    torch._dynamo.reset()
    assert watched[:3] == bare[:3]
    if case not in BREAKING:
        assert watched[3] == bare[3]
    assert [d.message for d in watch.run.main.of(ev.Defect)] == []
    if case not in BREAKING:
        assert watch.run.main.update_count == 12


def test_the_counters_can_tell(record, digest, seed):
    """A function mode around the call, as a close look enters it elsewhere, does compile anew."""
    from torch.overrides import BaseTorchFunctionMode

    def in_a_mode(net, optimizer, _watched):
        compiled = torch.compile(net, backend=BACKEND)
        with BaseTorchFunctionMode():
            loop(compiled, optimizer, 1)
        loop(compiled, optimizer, 11)

    bare = measure(wrap_before, contextlib.nullcontext(), digest, seed)
    assert measure(in_a_mode, None, digest, seed)[1:] != bare[1:]
    torch._dynamo.reset()
