"""Losses computed without gradients, summed up per pass: an evaluation in a few numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from torch import Tensor

from stepscope.observe.frames import user_line
from stepscope.observe.gauge import Fetch
from stepscope.observe.looks import graph
from stepscope.record import events as ev
from stepscope.record.numbers import to_number

if TYPE_CHECKING:
    from stepscope.observe.notes import Notes

#: Batches of one pass that are noted one by one while nothing is trained on them.
MOST_BATCHES = 8
#: Targets are compared with predictions in this many batches of an evaluation.
MOST_JUDGED = 512


class Thread(Protocol):
    """What must be known of the thread that evaluates."""

    number: int
    updates: int
    brief: bool

    def tell_before_evaluation(self) -> bool:
        """Tell the updates so far, unless the record holds too much already."""


class Evaluating:
    """What one thread has evaluated since it was last told."""

    def __init__(self, notes: Notes, lane: Thread) -> None:
        """Note in ``notes`` what ``lane`` evaluates."""
        self._notes = notes
        self._lane = lane
        self._loader: str | None = None
        self._number = 0
        self._began = 0  # updates made when the pass began
        self._called = False  # a model was called in this pass
        self._told = False  # something of this pass was told
        self._evaluates: set[str] = set()  # loaders that fed models which nothing trained
        self._batches: dict[str, int] = {}
        self._forward_recorded = False  # the model was last called with gradients
        self._metrics: set[tuple[str | None, int]] = set()  # lines that judge what training computed
        self._reset()

    def _reset(self) -> None:
        self._count = 0
        self._sums: dict[str, _Sums] = {}

    @property
    def open(self) -> bool:
        """Whether something has been evaluated that was not told yet."""
        return self._count > 0

    # Which loader feeds it.

    def pass_started(self, loader: str, number: int) -> None:
        """A pass begins: what was evaluated before belonged to another."""
        self.close()
        self._leave_pass()
        self._loader, self._number = loader, number
        self._began, self._called, self._told = self._lane.updates, False, False
        self._batches[loader] = 0

    def pass_ended(self, loader: str) -> None:
        """A pass is over, and so is its evaluation."""
        self.close()
        if self._loader == loader:
            self._leave_pass()

    def model_called(self, *, grad: bool) -> None:
        """A lane that notes in full has called a model."""
        if grad:
            self.close()
        self._called = True
        self._forward_recorded = grad

    def _leave_pass(self) -> None:
        """A pass is over: tell of its evaluation where neither calls nor losses have."""
        loader, self._loader = self._loader, None
        if loader is None or self._lane.updates != self._began or self._told:
            return
        if not self._lane.brief:
            if self._called:
                self._evaluates.add(loader)
        elif loader in self._evaluates and self._lane.tell_before_evaluation():
            self._put(loader=loader, number=self._number, batches=self._batches[loader])

    def end(self) -> None:
        """The watch ends: tell what is left."""
        self.close()
        self._leave_pass()

    def fetched(self, loader: str) -> None:
        """Count a batch."""
        if self._loader is not None and loader != self._loader:
            self.close()
            self._leave_pass()
        self._batches[loader] = self._batches.get(loader, 0) + 1

    def passes_over(self, loader: str) -> bool:
        """Whether batches of this pass are no longer noted one by one."""
        return self._count >= MOST_BATCHES and self._batches.get(loader, 0) > MOST_BATCHES

    # Losses.

    def loss_called(self, function: str, result: Tensor, prediction: Any, target: Any, ignore_index: int) -> None:
        """A loss was computed without gradients."""
        if self._is_metric(prediction):
            return
        sums = self._sums.get(function)
        if sums is None:
            sums = self._sums[function] = _Sums(user_line(4))
        self._count += 1
        sums.add(function, result, prediction, target, ignore_index)
        if len(sums.values) > 4096:
            self.close()

    def _is_metric(self, prediction: Any) -> bool:
        """Whether the loss is of what a training forward returned: then nothing was evaluated."""
        if isinstance(prediction, Tensor) and prediction.requires_grad:
            return True
        if not self._lane.brief and self._forward_recorded:
            self._metrics.add(user_line(5))
            return True
        return bool(self._metrics) and user_line(5) in self._metrics

    def close(self) -> None:
        """Tell what was evaluated."""
        if not self._count:
            return
        if self._lane.brief and not self._lane.tell_before_evaluation():
            return  # told together with the next ones: the record stays bounded
        for function, sums in self._sums.items():
            self._put(
                sums,
                file=sums.place[0],
                line=sums.place[1],
                function=function,
                loader=self._loader,
                number=self._number if self._loader else 0,
                batches=self._batches[self._loader] if self._loader else 0,
            )
        self._reset()

    def _put(self, sums: _Sums | None = None, **fields: Any) -> None:
        notes = self._notes
        event = ev.Evaluated(at=notes.now(), rank=notes.rank, thread=self._lane.number, **fields)
        if sums is None:
            notes.put(event)
        else:
            fetch = sums.fetch()
            notes.put_later(event, fetch.ready, lambda: msgspec.structs.replace(event, **sums.numbers(fetch.values())))
        self._told = True


class _Sums:
    """The losses of one function since they were last told."""

    def __init__(self, place: tuple[str | None, int]) -> None:
        """Begin where the first was computed."""
        self.place = place
        self.values: list[tuple[Tensor, int]] = []
        self._losses = 0
        self._total = 0.0
        self._samples = 0
        self._answers: list[graph.Answers] = []

    def add(self, function: str, result: Tensor, prediction: Any, target: Any, ignore_index: int) -> None:
        """Count one loss, weighted by its samples."""
        self._losses += 1
        samples = target.shape[0] if isinstance(target, Tensor) and target.dim() else 1
        if result.numel() == 1:
            if result.is_cpu:
                self._total += float(result) * samples
            else:
                self.values.append((result.detach(), samples))
            self._samples += samples
        if self._losses <= MOST_JUDGED:
            found = graph.answers(function, prediction, target, ignore_index)
            if found is not None:
                self._answers.append(found)

    def fetch(self) -> Fetch:
        """Bring over what is still on a device."""
        numbers = [value for value, _ in self.values]
        numbers += [answer.right for answer in self._answers]
        numbers += [answer.of for answer in self._answers if isinstance(answer.of, Tensor)]
        return Fetch(numbers)

    def numbers(self, fetched: list[float]) -> dict[str, Any]:
        """What an event tells of them, given what :meth:`fetch` brought."""
        values, fetched = fetched[: len(self.values)], fetched[len(self.values) :]
        total = self._total + sum(v * n for v, (_, n) in zip(values, self.values, strict=True))
        of = sum(fetched[len(self._answers) :])
        of += sum(answer.of for answer in self._answers if not isinstance(answer.of, Tensor))
        return {
            "losses": self._losses,
            "mean": to_number(total / self._samples) if self._samples else None,
            "samples": self._samples,
            "right": int(sum(fetched[: len(self._answers)])),
            "of": int(of),
        }
