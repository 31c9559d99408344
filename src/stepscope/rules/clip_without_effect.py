"""Gradients are clipped where it changes nothing that a step applies.

What it sees: every clipping on a line comes after the step (the gradients have been applied), before
backward (there are none yet), is handed no parameters (a generator that is used up), or clips a
network that does not step next and whose gradients are then cleared.

Why it hurts: the training looks protected from exploding gradients and is not: one bad batch moves
the weights as far as it likes.

What to do: clip between backward and step, the parameters that this step moves; keep them in a list.

When to ignore it: where clipping only measures the norm; pass ``max_norm=float("inf")`` then.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Literal

from stepscope.checking.readings.loop import gathered, timeline
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count, figure
from stepscope.record import events as ev

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepscope.checking.rule import Found
    from stepscope.record.run import RankRun, Run

RULE = Rule(phase="clear and step", evidence="proof")

#: Who asks for such a limit wants the norm, not the clipping.
NO_LIMIT = 1e6
#: Of the clippings on a line so many must be without effect.
MOST = 0.9
_Why = Literal["", "late", "early", "nothing", "other"]


def check(run: Run) -> Iterator[Found]:
    main = run.main
    events = list(timeline(main))
    places: dict[tuple[str | None, int], list[tuple[int, ev.GradientsClipped, _Why]]] = defaultdict(list)
    for position, (number, event) in enumerate(events):
        if isinstance(event, ev.GradientsClipped) and float(event.limit) < NO_LIMIT:
            places[event.file, event.line].append((number, event, _why(event, events, position)))
    if not places:
        raise NothingToJudge("no gradients were clipped")
    for clips in places.values():
        whys = [why for _, _, why in clips if why]
        if len(whys) > 1 and len(whys) >= MOST * len(clips):
            yield _tell(main, [clip for clip in clips if clip[2]], len(clips))


def _why(clip: ev.GradientsClipped, events: Sequence[tuple[int, ev.AnyEvent]], position: int) -> _Why:
    """Why this clipping has no effect; empty where it has one."""
    if not clip.parameters:
        return "nothing"
    if not clip.with_gradient:
        return "early"
    if clip.fresh == 0:
        if clip.again:
            return "late"
        return "early" if clip.total_norm is None or not float(clip.total_norm) else ""
    return "other" if clip.owners and _is_of_another(clip, events, position) else ""


def _is_of_another(clip: ev.GradientsClipped, events: Sequence[tuple[int, ev.AnyEvent]], position: int) -> bool:
    """Whether the next step is another optimizer's, and what was clipped is cleared before it is applied."""
    stepped = False
    for _, event in events[position + 1 :]:
        if isinstance(event, ev.OptimizerStepped):
            if event.optimizer in clip.owners:
                return False
            stepped = True
        elif isinstance(event, ev.GradientsCleared) and set(clip.owners) <= set(event.owners):
            return stepped
        elif isinstance(event, ev.Backward) and set(clip.owners) & set(event.owners):
            return False
    return stepped


def _tell(main: RankRun, clips: list[tuple[int, ev.GradientsClipped, _Why]], total: int) -> Found:
    update, clip, why = clips[0]
    limit = figure(clip.limit)
    because = {
        "late": "the step has applied these gradients before they are clipped",
        "early": "there are no gradients yet when they are clipped: backward comes later",
        "nothing": "no parameters are handed to it; a generator or filter can be gone through only once",
        "other": "the step that follows moves other parameters, and these gradients are cleared before their own step",
        "": "",
    }[why]
    largest = _largest(main, clips)
    cost = ""
    if largest > float(clip.limit):
        cost = f"; gradients of norm {figure(largest)} were applied, {figure(largest / float(clip.limit))} x the limit"
    return found(
        clip,
        update,
        f"clipping to {limit} has no effect: {because} (in {len(clips)} of {count(total, 'clipping')}){cost}",
        facts={"why": why, "limit": float(clip.limit), "clippings": total, "without_effect": len(clips)},
        remedy="  loss.backward()\n+ {line}\n  optimizer.step()",
        evidence="strong" if why == "other" else None,
    )


def _largest(main: RankRun, clips: list[tuple[int, ev.GradientsClipped, _Why]]) -> float:
    """The norm of the largest gradient that was applied unclipped, as far as it was measured."""
    norms = [float(c.total_norm) for _, c, why in clips if why == "late" and c.total_norm is not None]
    if not norms and all(why != "other" for _, _, why in clips):
        numbers = {number for number, _, _ in clips}
        for update in main.updates:
            if update.index in numbers and not any(use.action == "scale" for use in update.scaling):
                norms += [float(look.after) for owner in update.owners for look in gathered(update, owner)[-1:]]
    return max((norm for norm in norms if norm - norm == 0), default=0.0)


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    inputs, targets = torch.randn(64, 4), torch.randint(2, (64,))
    for start in range(0, 64, 16):
        loss = nn.functional.cross_entropy(model(inputs[start : start + 16]), targets[start : start + 16])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        nn.utils.clip_grad_norm_(model.parameters(), 0.2)  # fires


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    inputs, targets = torch.randn(64, 4), torch.randint(2, (64,))
    for start in range(0, 64, 16):
        loss = nn.functional.cross_entropy(model(inputs[start : start + 16]), targets[start : start + 16])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.2)
        optimizer.step()
