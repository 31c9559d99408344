"""An optimizer steps, and not one of its parameters has a gradient.

What it sees: gradients were computed since the optimizer's last step, and at its step every gradient
it holds is missing, or zero since it was cleared; in every step that it makes. Where backward is never
called at all: a loss, or a model, is computed for gradients before every step, and none is there.

Why it hurts: a step without gradients changes nothing. The part of the model that this optimizer
should train stays as it was, while the loop, the loss and the learning rate look as always.

What to do: find where the loss is cut off from these parameters: a ``detach()``, another network's
output, gradients that ``autograd.grad`` returned and nobody put into ``.grad``, or parameters that
were replaced after the optimizer was made.

When to ignore it: where this part of the model is used only later in the training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.loop import discards, held_by, steps_in_threads, timeline
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count
from stepscope.record import events as ev

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.run import RankRun, Run

RULE = Rule(phase="clear and step", evidence="proof")

#: So many steps without a gradient are no accident.
FEWEST = 3


def check(run: Run) -> Iterator[Found]:
    main = run.main
    if not any(update.steps for update in main.updates):
        raise NothingToJudge("no optimizer stepped")
    if steps_in_threads(main):
        raise NothingToJudge("several threads step")
    for owner in main.optimizers:
        steps = list(_steps(main, owner))
        without = [one for one in steps if one[1].fresh == 0 and one[1].again == 0]
        if len(without) < FEWEST or len(without) < len(steps) or _is_explained(main, owner):
            continue
        yield _tell(main, owner, without)


def _steps(main: RankRun, owner: str) -> Iterator[tuple[int, ev.OptimizerStepped, bool]]:
    """The steps of ``owner`` before which something was differentiated, and whether by ``autograd.grad`` for it.

    Where nothing ever is: those before which there was something to differentiate.
    """
    never = not _differentiates(main)
    computed = by_grad = False
    for number, event in timeline(main, ev.ModelCalled, ev.LossComputed):
        if isinstance(event, ev.Backward):
            # What runs backward from a leaf has no graph: that is another fault.
            computed = computed or not (event.failed or (event.leaf and not event.filled))
        elif isinstance(event, ev.GradComputed):
            computed = computed or not event.failed
            by_grad = by_grad or owner in event.owners
        elif isinstance(event, (ev.ModelCalled, ev.LossComputed)):
            computed = computed or (never and _could_be_differentiated(main, owner, event))
        elif isinstance(event, ev.OptimizerStepped) and event.optimizer == owner:
            if computed and event.fresh >= 0 and not (never and event.with_gradient):
                yield number, event, by_grad
            computed = by_grad = False


def _differentiates(main: RankRun) -> bool:
    return any(isinstance(event, (ev.Backward, ev.GradComputed)) for event in main.events)


def _could_be_differentiated(main: RankRun, owner: str, event: ev.ModelCalled | ev.LossComputed) -> bool:
    """Whether what was computed has gradients: a loss, or what a model in training made of the owner's parameters."""
    if isinstance(event, ev.LossComputed):
        return event.grad
    model = main.models.get(event.model)
    if model is None or event.failed or not (event.grad and event.training):
        return False
    held = held_by(main, owner)
    return any(info.id in held and info.requires_grad for info in model.parameters)


def _is_explained(main: RankRun, owner: str) -> bool:
    """Whether another rule tells why: its gradients were thrown away, or all it holds is frozen."""
    infos = main.optimizers[owner].parameters
    return bool(list(discards(main, owner))) or (bool(infos) and not any(info.requires_grad for info in infos))


def _tell(main: RankRun, owner: str, without: list[tuple[int, ev.OptimizerStepped, bool]]) -> Found:
    update, step, by_grad = without[0]
    optimizer = main.optimizer_name(owner)
    why = (
        "; autograd.grad returned gradients of them, and nothing put those into .grad"
        if by_grad
        else "; no backward reaches them"
        if _differentiates(main)
        else "; no backward was ever run"
    )
    remedy = (
        "+ for parameter, gradient in zip(parameters, gradients):\n+     parameter.grad = gradient\n  {line}"
        if by_grad
        else ""
    )
    return found(
        step,
        update,
        f"{optimizer}.step() changes nothing: none of its {count(step.parameters, 'parameter')} had a gradient in any "
        f"of its {count(len(without), 'step')}{why}",
        facts={"optimizer": optimizer, "parameters": step.parameters, "steps": len(without)},
        remedy=remedy,
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    inputs, targets = torch.randn(64, 4), torch.randint(2, (64,))
    for start in range(0, 64, 16):
        loss = nn.functional.cross_entropy(model(inputs[start : start + 16]), targets[start : start + 16])
        torch.autograd.grad(loss, list(model.parameters()))
        optimizer.step()  # fires


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    inputs, targets = torch.randn(64, 4), torch.randint(2, (64,))
    for start in range(0, 64, 16):
        loss = nn.functional.cross_entropy(model(inputs[start : start + 16]), targets[start : start + 16])
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
