"""The rules about several ranks. The ranks of a record are watched one after the other, in this process."""

from __future__ import annotations

import pytest
import torch
from torch import distributed, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from stepscope import rules
from stepscope.checking.engine import judge
from stepscope.loading import load
from stepscope.observe.schedule import Plan
from stepscope.observe.watch import Watch
from stepscope.record import events as ev

RULES = ["bypassed-ddp", "diverged-ranks", "same-data-on-every-rank"]


@pytest.fixture
def findings(record, monkeypatch):
    """What the rules say of ``loop(rank)`` run as rank 0 and as rank 1; each is alone in its group."""

    def ask(loop):
        for rank in (0, 1):
            monkeypatch.setenv("RANK", str(rank))
            monkeypatch.setenv("WORLD_SIZE", "2")
            distributed.init_process_group("gloo", rank=0, world_size=1, store=distributed.HashStore())
            try:
                with Watch(record, Plan(thorough=200)):
                    loop(rank)
            finally:
                distributed.destroy_process_group()
        run = load(record)
        assert not list(run.main.of(ev.Defect))
        verdict = judge(run, {name: rules.get(name) for name in RULES})
        assert verdict.defects == {}
        return {(f.rule, f.evidence) for f in verdict.findings}, verdict

    return ask


def train(call, model, seed, *, updates=4, extra=(), after=None):
    optimizer = torch.optim.SGD([*model.parameters(), *extra], lr=0.1)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(updates):
        inputs = torch.randn(8, 4, generator=generator)
        loss = cross_entropy(call(inputs), (inputs[:, 0] > 0).long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if after is not None:
            after()


def test_one_rank_has_nothing_to_compare(record):
    with Watch(record, Plan(thorough=200)) as watched:
        model = nn.Linear(4, 2)
        train(model, model, 0)
    verdict = judge(watched.run, {name: rules.get(name) for name in RULES})
    assert set(verdict.unjudged) == set(RULES)


def test_going_around_the_wrapper_is_told_once(findings):
    def loop(rank):
        torch.manual_seed(0)
        model = DistributedDataParallel(nn.Linear(4, 2))
        train(model.module, model, rank)

    told, verdict = findings(loop)
    assert told == {("bypassed-ddp", "proof")}  # the ranks diverge, and this is why
    assert verdict.findings[0].facts == {
        "wrapper": "DistributedDataParallel",
        "updates": 4,
        "parameters": 2,
        "ranks": 2,
    }


def test_a_wrapper_inside_another_module_is_used(findings):
    def loop(rank):
        torch.manual_seed(0)
        inner = DistributedDataParallel(nn.Linear(4, 2))
        model = nn.Sequential(inner)
        train(model, model, 5)
        with torch.no_grad():
            inner.module(torch.randn(3, 4))

    assert {rule for rule, _ in findings(loop)[0]} == {"same-data-on-every-rank"}


def test_gradients_that_somebody_averages_are_no_matter(findings):
    """Equal gradients by equal data stand for averaging here."""

    def loop(rank):
        torch.manual_seed(0)
        model = DistributedDataParallel(nn.Linear(4, 2))
        train(model.module, model, 3)

    assert ("bypassed-ddp", "proof") not in findings(loop)[0]


def test_models_that_share_nothing_are_only_a_hint(findings):
    def loop(rank):
        torch.manual_seed(rank)
        model = nn.Linear(4, 2)
        train(model, model, rank)

    assert findings(loop)[0] == {("diverged-ranks", "hint")}


def test_ranks_that_come_together_again_average_their_weights(findings):
    def loop(rank):
        torch.manual_seed(0)
        model = nn.Linear(4, 2)

        def average():
            with torch.no_grad():
                model.weight.fill_(0.5)
                model.bias.fill_(0.1)

        train(model, model, rank, after=average)

    assert findings(loop)[0] == set()


def test_parts_of_one_model_see_the_same_data(findings):
    def loop(rank):
        torch.manual_seed(rank)
        model = nn.Linear(4, 2)
        train(model, model, 7)

    assert findings(loop)[0] == set()


def test_a_head_outside_the_wrapper(findings):
    def loop(rank):
        torch.manual_seed(0)
        body = DistributedDataParallel(nn.Linear(4, 4).requires_grad_(True))
        head = nn.Linear(4, 2)
        optimizer = torch.optim.SGD([*body.parameters(), *head.parameters()], lr=0.1)
        for step in range(4):
            torch.manual_seed(10 * step + rank)
            inputs = torch.randn(8, 4)
            loss = cross_entropy(head(body(inputs)), (inputs[:, 0] > 0).long())
            optimizer.zero_grad()
            loss.backward()
            for parameter in body.parameters():  # there is one rank in this group: average by hand
                parameter.grad.fill_(0.1)
            optimizer.step()

    told, verdict = findings(loop)
    assert told == {("diverged-ranks", "proof")}
    assert verdict.findings[0].facts["parameters"] == ["head.weight", "head.bias"]
    assert verdict.findings[0].facts["agree"] == 2


def test_one_batch_again_and_again_is_the_same_on_all_ranks_by_choice(findings):
    def loop(rank):
        torch.manual_seed(0)
        model = DistributedDataParallel(nn.Linear(4, 2))
        inputs = torch.randn(8, 4)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(4):
            optimizer.zero_grad()
            cross_entropy(model(inputs), (inputs[:, 0] > 0).long()).backward()
            optimizer.step()

    assert findings(loop)[0] == set()


def test_the_same_samples_in_another_order_are_the_same(findings):
    def loop(rank):
        torch.manual_seed(0)
        model = DistributedDataParallel(nn.Linear(4, 2))
        generator = torch.Generator().manual_seed(1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(4):
            inputs = torch.randn(8, 4, generator=generator)
            inputs = inputs.flip(0) if rank else inputs
            optimizer.zero_grad()
            cross_entropy(model(inputs), (inputs[:, 0] > 0).long()).backward()
            optimizer.step()

    told, verdict = findings(loop)
    assert ("same-data-on-every-rank", "proof") in told
    assert next(f for f in verdict.findings if f.rule == "same-data-on-every-rank").facts["same"] == 4
