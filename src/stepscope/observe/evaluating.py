"""Losses computed without gradients, summed up per pass: an evaluation in a few numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from stepscope.observe import graph
from stepscope.observe.gauge import Fetch
from stepscope.record import events as ev
from stepscope.record.numbers import to_number

if TYPE_CHECKING:
    from stepscope.observe.lane import Lane
    from stepscope.observe.session import Session

#: Batches of one pass that are noted one by one while nothing is trained on them.
MOST_BATCHES = 8
#: Targets are compared with predictions in this many batches of an evaluation.
MOST_JUDGED = 512


class Evaluating:
    """What has been evaluated since it was last told."""

    def __init__(self, session: Session) -> None:
        """Tell through ``session``."""
        self._session = session
        self._loader: str | None = None
        self._number = 0
        self._batches: dict[str, int] = {}
        self._reset()

    def _reset(self) -> None:
        self._function = ""
        self._count = 0
        self._values: list[tuple[Tensor, int]] = []
        self._answers: list[graph.Answers] = []
        self._total = 0.0
        self._samples = 0
        self._place: tuple[str | None, int] = (None, 0)

    @property
    def open(self) -> bool:
        """Whether something has been evaluated that was not told yet."""
        return self._count > 0

    # Which loader feeds it.

    def pass_started(self, loader: str, number: int) -> None:
        """A pass begins: what was evaluated before belonged to another."""
        self.close()
        self._loader, self._number = loader, number
        self._batches[loader] = 0

    def pass_ended(self, loader: str) -> None:
        """A pass is over, and so is its evaluation."""
        self.close()
        if self._loader == loader:
            self._loader = None

    def fetched(self, loader: str) -> None:
        """Count a batch."""
        self._batches[loader] = self._batches.get(loader, 0) + 1

    def passes_over(self, loader: str) -> bool:
        """Whether batches of this pass are no longer noted one by one."""
        return self._count >= MOST_BATCHES and self._batches.get(loader, 0) > MOST_BATCHES

    # Losses.

    def loss_called(
        self, lane: Lane, function: str, result: Tensor, prediction: Any, target: Any, ignore_index: int
    ) -> None:
        """A loss was computed without gradients."""
        if self._function and function != self._function:
            self.close()
        self._function = function
        if not self._count:
            from stepscope.observe.frames import user_line

            self._place = user_line(4)
        self._count += 1
        samples = target.shape[0] if isinstance(target, Tensor) and target.dim() else 1
        if result.numel() == 1:
            if result.device.type == "cpu":
                self._total += float(result) * samples
            else:
                self._values.append((result.detach(), samples))
            self._samples += samples
        if self._count <= MOST_JUDGED:
            found = graph.answers(function, prediction, target, ignore_index)
            if found is not None:
                self._answers.append(found)
        if len(self._values) > 4096:
            self.close()

    def close(self) -> None:
        """Tell what was evaluated."""
        if not self._count:
            return
        session = self._session
        lane = session.lane()
        if lane.brief and not lane.tell_before_evaluation():
            return  # told together with the next ones: the record stays bounded
        values = Fetch([value for value, _ in self._values]).values()
        total = self._total + sum(v * n for v, (_, n) in zip(values, self._values, strict=True))
        numbers = [answer.right for answer in self._answers]
        numbers += [answer.of for answer in self._answers if isinstance(answer.of, Tensor)]
        fetched = Fetch(numbers).values()
        right = sum(fetched[: len(self._answers)])
        of = sum(fetched[len(self._answers) :])
        of += sum(answer.of for answer in self._answers if not isinstance(answer.of, Tensor))
        session.put(
            ev.Evaluated(
                at=session.now(),
                rank=session.rank,
                thread=lane.number,
                file=self._place[0],
                line=self._place[1],
                losses=self._count,
                function=self._function,
                loader=self._loader,
                number=self._number if self._loader else 0,
                mean=to_number(total / self._samples) if self._samples else None,
                samples=self._samples,
                right=int(right),
                of=int(of),
            )
        )
        self._reset()
