"""What several rules ask about who holds the parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.record.events import OptimizerSeen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.record.holding import Holding, Loose
    from stepscope.record.run import RankRun
    from stepscope.record.updates import Update


def holdings(main: RankRun) -> list[tuple[Update, Holding]]:
    """The updates at whose backward it was asked who holds the parameters, with the answers."""
    return [(u, u.look.holding) for u in main.looks if u.look is not None and u.look.holding is not None]


def ever_held(main: RankRun) -> set[str]:
    """The ids of all parameters that any optimizer ever held."""
    return {p for seen in main.of(OptimizerSeen) for group in seen.groups for p in group.parameters}


def where_made(main: RankRun, optimizer: str) -> OptimizerSeen:
    """The event of an optimizer being made, or first seen: its line is the constructor's."""
    return next(seen for seen in main.of(OptimizerSeen) if seen.id == optimizer)


def never_trained(main: RankRun) -> Iterator[tuple[Update, list[Loose], bool]]:
    """Parameters that the loss reaches in an update, that no optimizer ever holds and nobody else moves.

    Those that the script meant to freeze, if by the wrong name, are none of them. With whether that
    was seen at least twice, with unchanged values.
    """
    known = holdings(main)
    held = ever_held(main) | {p for _, h in known for one in h.misspelt if not one.value for p in one.parameters}
    moved = {one.id for _, holding in known for one in holding.loose if one.moved}
    still = {one.id for _, holding in known for one in holding.loose if one.moved is False} - moved
    told: set[str] = set()
    for update, holding in known:
        if not update.steps:
            continue
        loose = [one for one in holding.loose if one.id not in held | moved | told]
        told.update(one.id for one in loose)
        sure = [one for one in loose if one.id in still]
        if sure:
            yield update, sure, True
        if len(sure) < len(loose):
            yield update, [one for one in loose if one.id not in still], False
