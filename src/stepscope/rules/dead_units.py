"""Most units of a ReLU layer are zero for every sample, look after look: they have died.

What it sees: in close looks, the share of features or channels behind a ReLU (module or function)
that were zero for the whole batch and at all positions, and again the same ones in the looks before.

Why it hurts: the slope of a ReLU is zero where its output is zero, so a unit that is zero for every
sample gets no gradient: it never comes back. The layer works with what is left of it.

What to do: look at what pushes its input below zero for good: a bias or norm that starts far below
zero, weights from a bad initialisation, a learning rate that threw them there, inputs of the wrong
scale. A LeakyReLU or GELU keeps a slope below zero.

When to ignore it: where the layer is meant to be this sparse (a sparse autoencoder, top-k).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from stepscope.checking.readings.depth import along_depth, fades, looked_at
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count, share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.look import Look, UnitsLook
    from stepscope.record.run import RankRun, Run

_Looks: TypeAlias = "list[tuple[int, Look, UnitsLook]]"

RULE = Rule(phase="gradients", evidence="strong", severity="warning")

#: The share of a layer's units that must stay dead, and how many units a layer has at least.
_SHARE, _UNITS = 0.8, 8
#: What a look must have seen of each unit: samples times positions.
_SAMPLES = 32
#: Looks in which it must be so, the last one among them.
_LOOKS = 3


def check(run: Run) -> Iterator[Found]:
    looks = [(u.index, u.look) for u in run.main.looks if u.look is not None]
    seen: dict[tuple[str, int, str], _Looks] = {}
    for index, look in looks:
        for units in look.units:
            if units.units >= _UNITS and units.elements >= _SAMPLES * units.units:
                seen.setdefault((units.file, units.line, _path(look, units)), []).append((index, look, units))
    if not seen:
        raise NothingToJudge("no ReLU was looked at closely")
    dead = [of for of in seen.values() if _stays_dead([units for _, _, units in of])]
    if dead and not _faded_before(run.main, dead):
        yield _tell(dead, len(seen))


def _faded_before(main: RankRun, dead: list[_Looks]) -> bool:
    """Whether gradients faded with depth before any unit was dead: then that is what is to be told."""
    first = min(_first(of) for of in dead)
    profiles = [
        profile
        for owner in main.optimizers
        for update in looked_at(main, owner)
        if update.index <= first and (profile := along_depth(update, owner)) is not None
    ]
    return any(fades(profile) and profile.first > 0 for profile in profiles)


def _path(look: Look, units: UnitsLook) -> str:
    return look.layers[units.layer].path if 0 <= units.layer < len(look.layers) else ""


def _stays_dead(units: list[UnitsLook]) -> bool:
    return len(units) >= _LOOKS and all(one.lasting >= _SHARE * one.units for one in units[-_LOOKS:])


def _first(of: _Looks) -> int:
    """The first update at which the units were dead for so long."""
    return next(index for index, _, units in of if units.lasting >= _SHARE * units.units)


def _tell(dead: list[_Looks], layers: int) -> Found:
    worst = dead[0]
    index, look, last = worst[-1]
    after = _path(look, last)
    where = f" after '{after}'" if after else ""
    more = f"; so it is in {len(dead)} of {count(layers, 'such place')}" if len(dead) > 1 else ""
    return found(
        last,
        _first(worst),
        f"{last.lasting} of {last.units} units ({share(last.lasting / last.units)}) of the {last.operation}{where} are "
        f"dead: zero for every sample, in each of the looks up to update {index}; they get no gradient and cannot come "
        f"back{more}",
        facts={"dead": last.lasting, "units": last.units, "places": len(dead), "of": layers, "last_update": index},
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    hidden, head = nn.Linear(8, 24), nn.Linear(24, 3)
    nn.init.constant_(hidden.bias, -4.0)
    optimizer = torch.optim.SGD([*hidden.parameters(), *head.parameters()], lr=0.05)
    inputs, targets = torch.randn(480, 8), torch.randint(3, (480,))
    model = nn.Sequential(hidden, nn.ReLU(), head)
    for start in range(0, 480, 40):
        outputs = model(inputs[start : start + 40])  # fires
        loss = nn.functional.cross_entropy(outputs, targets[start : start + 40])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    hidden, head = nn.Linear(8, 24), nn.Linear(24, 3)
    optimizer = torch.optim.SGD([*hidden.parameters(), *head.parameters()], lr=0.05)
    inputs, targets = torch.randn(480, 8), torch.randint(3, (480,))
    model = nn.Sequential(hidden, nn.ReLU(), head)
    for start in range(0, 480, 40):
        outputs = model(inputs[start : start + 40])
        loss = nn.functional.cross_entropy(outputs, targets[start : start + 40])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
