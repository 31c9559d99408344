"""The sigmoid or tanh units of a hidden layer sit at their limits, where there is no slope.

What it sees: in close looks, the share of outputs of a hidden sigmoid or tanh (module or function)
that lie within 1 % of the range from a limit. A sigmoid at the end of the model, or one that the loss takes as a
probability, is no hidden unit and is not judged.

Why it hurts: at the limits the slope is nearly zero, so what comes back through them is nearly
nothing: the layers below learn very slowly, if at all.

What to do: make the input of the activation smaller: an initialisation that fits (Xavier with the gain of
tanh), inputs of unit scale, a norm before it, a temperature that does not divide by a small number.

When to ignore it: where units are meant to switch hard, and nothing below them is to be trained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count, figure, share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.look import Look, UnitsLook
    from stepscope.record.run import Run

RULE = Rule(phase="gradients", evidence="strong", severity="warning")

#: The share of outputs at a limit, in so many looks and in the last one.
_SHARE, _LOOKS = 0.6, 4
#: Numbers that a look must have seen.
_ELEMENTS = 128


def check(run: Run) -> Iterator[Found]:
    seen: dict[tuple[str, int, str], list[tuple[int, Look, UnitsLook]]] = {}
    for index, look in [(u.index, u.look) for u in run.main.looks if u.look is not None]:
        for units in look.units:
            if units.saturated is not None and units.inner and units.elements >= _ELEMENTS:
                seen.setdefault((units.file, units.line, _path(look, units)), []).append((index, look, units))
    if not seen:
        raise NothingToJudge("no hidden sigmoid or tanh was looked at closely")
    stuck = [of for of in seen.values() if _stays(of)]
    if stuck:
        yield _tell(stuck, len(seen))


def _path(look: Look, units: UnitsLook) -> str:
    return look.layers[units.layer].path if 0 <= units.layer < len(look.layers) else ""


def _at_limit(units: UnitsLook) -> float:
    return float(units.saturated or 0.0)


def _stays(of: list[tuple[int, Look, UnitsLook]]) -> bool:
    return len(of) >= _LOOKS and all(_at_limit(units) >= _SHARE for _, _, units in of[-_LOOKS:])


def _tell(stuck: list[list[tuple[int, Look, UnitsLook]]], places: int) -> Found:
    worst = stuck[0]
    first = next(index for index, _, units in worst if _at_limit(units) >= _SHARE)
    index, look, last = worst[-1]
    after = _path(look, last)
    where = f" after '{after}'" if after else ""
    more = f"; so it is in {len(stuck)} of {count(places, 'such place')}" if len(stuck) > 1 else ""
    slope = float(last.slope or 0.0)
    return found(
        last,
        first,
        f"{share(_at_limit(last))} of what the {last.operation}{where} returns lies within 1 % of its limits (update "
        f"{index}, and in the looks before): its mean slope there is {figure(slope, 2)} of that in the middle, and "
        f"that is what is left of each gradient that comes back through it{more}",
        facts={"saturated": _at_limit(last), "slope": slope, "places": len(stuck), "of": places, "last_update": index},
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    hidden, head = nn.Linear(8, 16), nn.Linear(16, 3)
    nn.init.normal_(hidden.weight, std=4.0)
    optimizer = torch.optim.SGD([*hidden.parameters(), *head.parameters()], lr=0.05)
    inputs, targets = torch.randn(320, 8), torch.randint(3, (320,))
    for start in range(0, 320, 32):
        features = torch.tanh(hidden(inputs[start : start + 32]))  # fires
        loss = nn.functional.cross_entropy(head(features), targets[start : start + 32])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    hidden, head = nn.Linear(8, 16), nn.Linear(16, 3)
    optimizer = torch.optim.SGD([*hidden.parameters(), *head.parameters()], lr=0.05)
    inputs, targets = torch.randn(320, 8), torch.randint(3, (320,))
    for start in range(0, 320, 32):
        features = torch.tanh(hidden(inputs[start : start + 32]))
        loss = nn.functional.cross_entropy(head(features), targets[start : start + 32])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
