"""What several rules ask of the record."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stepscope.record.run import RankRun


def held_by(main: RankRun, optimizer: str) -> set[str]:
    """The ids of the parameters that an optimizer holds."""
    seen = main.optimizers.get(optimizer)
    return {parameter for group in seen.groups for parameter in group.parameters} if seen else set()


def parameter_names(main: RankRun) -> dict[str, str]:
    """The name of every parameter, by its id."""
    seen = [*main.optimizers.values(), *main.models.values()]
    return {info.id: info.name for one in seen for info in one.parameters}
