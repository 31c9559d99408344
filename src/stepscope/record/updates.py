"""The nouns that events are assembled into: rounds, updates, evaluations, epochs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from stepscope.record.events import (
        AnyEvent,
        Backward,
        Evaluated,
        GradComputed,
        GradientsCleared,
        GradientsClipped,
        LossComputed,
        LossTally,
        ModelCalled,
        OptimizerStepped,
        ScalerUsed,
    )
    from stepscope.record.look import Look

Kind = Literal["step", "closure", "in-backward", "manual"]


@dataclass
class Round:
    """One forward -> loss -> backward. ``backward`` is None for one made by autograd.grad."""

    calls: list[ModelCalled] = field(default_factory=list)
    losses: list[LossComputed] = field(default_factory=list)
    backward: Backward | None = None
    gradients: list[GradComputed] = field(default_factory=list)
    right: int = 0
    of: int = 0

    @property
    def value(self) -> float | None:
        """What was backpropagated, where it was one number."""
        source = self.backward or (self.gradients[-1] if self.gradients else None)
        return None if source is None or source.value is None else float(source.value)

    @property
    def line(self) -> int:
        """The user's line that ran backward (or ``autograd.grad``)."""
        source = self.backward or (self.gradients[-1] if self.gradients else None)
        return source.line if source else 0

    @property
    def models(self) -> list[str]:
        """The ids of the modules called with gradients, in call order."""
        return [call.model for call in self.calls if call.grad and not call.criterion]


@dataclass
class Update:
    """All that led to one optimizer step. ``index`` counts from 1 over the run (and rank).

    ``discarded`` are rounds whose gradients were cleared before any step used them;
    ``events`` are all events of this update in order. ``passes`` tells the running pass of
    each loader.
    """

    index: int
    kind: Kind
    rank: int = 0
    thread: int = 0
    rounds: list[Round] = field(default_factory=list)
    rounds_left_out: int = 0
    discarded: list[Round] = field(default_factory=list)
    steps: list[OptimizerStepped] = field(default_factory=list)
    clears: list[GradientsCleared] = field(default_factory=list)
    clips: list[GradientsClipped] = field(default_factory=list)
    scaling: list[ScalerUsed] = field(default_factory=list)
    events: list[AnyEvent] = field(default_factory=list)
    passes: dict[str, int] = field(default_factory=dict)
    look: Look | None = None

    @property
    def owners(self) -> list[str]:
        """The ids of the optimizers that stepped; empty for a manual update."""
        return list(dict.fromkeys(step.optimizer for step in self.steps))

    @property
    def loss(self) -> float | None:
        """The sum of what its rounds backpropagated; None where one of them is unknown."""
        values = [value for r in self.rounds if (value := r.value) is not None]
        return sum(values) if values and len(values) == len(self.rounds) else None

    @property
    def right(self) -> int:
        """Targets that the model had right in this update's rounds (of :attr:`of`)."""
        return sum(r.right for r in self.rounds)

    @property
    def of(self) -> int:
        """Targets that were judged."""
        return sum(r.of for r in self.rounds)

    @property
    def lines(self) -> list[tuple[str, int]]:
        """What happened in order, as ``(phase, line)``: the skeleton of the loop."""
        return [
            (phase, event.line)
            for event in self.events
            if (phase := PHASES.get(type(event).__name__)) and not getattr(event, "criterion", False)
        ]


PHASES = {
    "BatchFetched": "batch",
    "ModelCalled": "forward",
    "LossComputed": "loss",
    "Backward": "backward",
    "GradComputed": "grad",
    "GradientsCleared": "clear",
    "GradientsClipped": "clip",
    "OptimizerStepped": "step",
    "SchedulerStepped": "schedule",
}


@dataclass
class Evaluation:
    """Forward calls with no backward. ``after`` is the number of updates made until then.

    In a regular loop calls are not noted one by one: then its ``tallies``, and how many
    ``batches`` its loader fed, are what is known.
    """

    after: int
    rank: int = 0
    thread: int = 0
    calls: list[ModelCalled] = field(default_factory=list)
    calls_total: int = 0
    batches: int = 0
    tallies: list[Evaluated] = field(default_factory=list)
    loader: str | None = None
    number: int = 0

    @property
    def training(self) -> bool:
        """Whether a module was in training mode."""
        return any(call.training for call in self.calls)


@dataclass
class Tally:
    """Losses and right answers of many updates, summed up."""

    updates: int = 0
    known: int = 0
    total: float = 0.0
    non_finite: int = 0
    right: int = 0
    of: int = 0
    judged: int = 0

    @property
    def loss(self) -> float | None:
        """The mean loss of the updates whose loss is known; NaN where none was finite."""
        if self.known:
            return self.total / self.known
        return math.nan if self.non_finite else None

    @property
    def accuracy(self) -> float | None:
        """The share of judged targets that were right; None where none was judged."""
        return self.right / self.of if self.of else None

    def add_update(self, update: Update) -> None:
        """Count one update that was noted by itself."""
        self.updates += 1
        self.right += update.right
        self.of += update.of
        self.judged += bool(update.of)
        loss = update.loss
        if loss is None:
            return
        if math.isfinite(loss):
            self.known += 1
            self.total += loss
        else:
            self.non_finite += 1

    def add_tally(self, tally: LossTally) -> None:
        """Count what a stretch tells of many updates."""
        self.updates += tally.updates
        self.non_finite += tally.non_finite
        self.right += tally.right
        self.of += tally.of
        self.judged += tally.judged
        if tally.known and tally.mean is not None:
            self.known += tally.known
            self.total += tally.known * float(tally.mean)


@dataclass
class Epoch:
    """One pass over the loader that feeds the updates, or a block of updates without one.

    ``number`` and ``last_number`` are the passes (or blocks) it stands for; they differ where
    a long run told several passes together. ``tallies`` is keyed by the optimizer that stepped.
    """

    number: int
    last_number: int
    first_update: int
    last_update: int
    tallies: dict[str, Tally] = field(default_factory=dict)
    evaluations: list[Evaluation] = field(default_factory=list)
