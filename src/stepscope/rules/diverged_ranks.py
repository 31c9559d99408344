"""The ranks train models that are not the same.

What it sees: after the same update a parameter has other values on another rank, although gradients
are averaged: the ranks started from different weights, or some parameters are left out of the
averaging.

Why it hurts: averaged gradients fit none of the models they are applied to, and what is saved is the
model of one rank. The ranks drift apart with every update.

What to do: give all ranks the same weights at the start (the same seed before the model is made, or
a broadcast from rank 0), and let everything that trains take part in the averaging, best in one
``DistributedDataParallel``.

When to ignore it: where each rank is to have a model, or a part of one, of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.ranks import bypassing, compared, differ, distance, ranks_of
from stepscope.checking.readings.same_data import same_batches
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count, listed
from stepscope.record.events import LoaderStudied, ModelWrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.finding import Evidence
    from stepscope.checking.rule import Found
    from stepscope.record.look import ParameterLook
    from stepscope.record.run import RankRun, Run
    from stepscope.record.updates import Update

RULE = Rule(phase="ranks", evidence="proof", processes=2)

#: Weights that differ by less than this share of their spread may differ by rounding.
ROUNDING = 1e-4
#: Without any averaging ranks are compared over this many updates, before that is more than a hint.
LONG = 100


def check(run: Run) -> Iterator[Found]:
    ranks = ranks_of(run)
    main = ranks[0]
    looked = list(compared(ranks))
    if not looked:
        raise NothingToJudge("the weights of the ranks were not compared")
    around = {p for _, wrapped, _ in bypassing(main) for p in wrapped.parameters}
    rows: dict[str, list[tuple[Update, list[ParameterLook]]]] = {}
    for update, parameters in looked:
        for row in parameters:
            if row[0].id not in around:  # that is told by bypassed-ddp
                rows.setdefault(row[0].id, []).append((update, row))
    apart = {id_: seen for id_, seen in rows.items() if _drifted(seen)}
    if not apart or same_batches(ranks).alike:
        return  # ranks that are given the same data and have other weights share one model
    yield _tell(ranks, rows, apart)


def _drifted(seen: list[tuple[Update, list[ParameterLook]]]) -> bool:
    """Whether a parameter differed, by more than rounding, and never came together again."""
    differs = [differ(row, "mark_after") for _, row in seen]
    if not any(differs):
        return False
    first = differs.index(True)
    together = any(not differ(row, "mark_before") for _, row in seen[first + 1 :]) or not all(differs[first:])
    return not together and max(distance(row) for _, row in seen) > ROUNDING


def _tell(
    ranks: list[RankRun],
    rows: dict[str, list[tuple[Update, list[ParameterLook]]]],
    apart: dict[str, list[tuple[Update, list[ParameterLook]]]],
) -> Found:
    main = ranks[0]
    wrapped = {p for event in main.of(ModelWrapped) for p in event.parameters}
    gradients = [row for seen in apart.values() for _, row in seen if all(look.mark_gradient for look in row)]
    averaged = bool(gradients) and not any(differ(row, "mark_gradient") for row in gradients)
    rest = [id_ for id_ in rows if id_ not in apart]
    firsts = {id_: next((u, r) for u, r in seen if differ(r, "mark_after")) for id_, seen in apart.items()}
    update, row = min(firsts.values(), key=lambda one: one[0].index)
    names = [seen[0][1][0].name for seen in apart.values()]
    start = differ(row, "mark_before") and update.index == 1
    why = "they were different before the first update" if start else "their gradients are not averaged"
    known = averaged or bool(wrapped & set(apart)) or bool(wrapped & set(rest))
    sharded = any(studied.order == "DistributedSampler" for studied in main.of(LoaderStudied))
    last = max(u.index for seen in apart.values() for u, _ in seen)
    evidence: Evidence = "proof" if known else "strong" if sharded and last >= LONG else "hint"
    return found(
        update.steps[0] if update.steps else (None, 0),
        update.index,
        f"{count(len(apart), 'parameter')} ({listed(names)}) {'has' if len(apart) == 1 else 'have'} other values on "
        f"other ranks after the same update: {why}"
        + (f", while {count(len(rest), 'parameter')} agree" if rest else "")
        + (", and averaged gradients fit none of the models" if averaged else ""),
        facts={"parameters": names[:32], "count": len(apart), "agree": len(rest), "averaged": averaged},
        remedy="+ for tensor in model.state_dict().values():  # before the first update\n"
        "+     torch.distributed.broadcast(tensor, 0)",
        evidence=evidence,
    )


def bad() -> None:
    import torch
    from torch import distributed, nn

    distributed.init_process_group("gloo")
    torch.manual_seed(distributed.get_rank())
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(4):
        inputs = torch.randn(16, 4)
        loss = nn.functional.cross_entropy(model(inputs), (inputs[:, 0] > 0).long())
        optimizer.zero_grad()
        loss.backward()
        for parameter in model.parameters():
            assert parameter.grad is not None
            distributed.all_reduce(parameter.grad)
            parameter.grad /= distributed.get_world_size()
        optimizer.step()  # fires
    distributed.destroy_process_group()


def good() -> None:
    import torch
    from torch import distributed, nn

    distributed.init_process_group("gloo")
    torch.manual_seed(distributed.get_rank())
    model = nn.Linear(4, 2)
    for tensor in model.state_dict().values():
        distributed.broadcast(tensor, 0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(4):
        inputs = torch.randn(16, 4)
        loss = nn.functional.cross_entropy(model(inputs), (inputs[:, 0] > 0).long())
        optimizer.zero_grad()
        loss.backward()
        for parameter in model.parameters():
            assert parameter.grad is not None
            distributed.all_reduce(parameter.grad)
            parameter.grad /= distributed.get_world_size()
        optimizer.step()
    distributed.destroy_process_group()
