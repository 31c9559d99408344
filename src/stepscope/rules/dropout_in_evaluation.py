"""Dropout goes on although the model is in evaluation mode.

What it sees: a dropout function of torch that drops something while the module around it is in
evaluation mode: ``functional.dropout`` without ``training=self.training``, attention with a fixed
``dropout_p``, or a dropout layer that is made anew inside ``forward`` (or kept where ``eval()`` does
not reach it).

Why it hurts: every evaluation, and every prediction ever after, is that of a randomly damaged
network. The scores are too low and differ from run to run.

What to do: pass ``training=self.training``, write ``dropout_p=self.p if self.training else 0.0``, or
make an ``nn.Dropout`` in ``__init__`` and call it.

When to ignore it: where you sample on purpose (Monte Carlo dropout). A line that says
``training=True`` by name, and an evaluation that runs the same batch several times, are only a hint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.modes import sampled_repeatedly
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import share
from stepscope.record.events import DropoutRan, ModelCalled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.run import RankRun, Run

RULE = Rule(phase="mode", evidence="proof")


def check(run: Run) -> Iterator[Found]:
    main = run.main
    calls = [call for call in main.of(ModelCalled) if not call.training and call.modes is not None]
    ran = list(main.of(DropoutRan))
    if not calls and not ran:
        raise NothingToJudge("no model was called in evaluation mode")
    # A model that trains in evaluation mode is another matter: only what no backward followed counts.
    trained = {id(call) for update in main.updates for made in update.rounds for call in made.calls if call.grad}
    of_training = {event.model for event in main.of(ModelCalled) if id(event) in trained and not event.training}
    lines: dict[tuple[str | None, int], list[DropoutRan]] = {}
    for event in ran:
        if not (event.grad and event.model in of_training):
            lines.setdefault((event.file, event.line), []).append(event)
    for events in lines.values():
        yield _tell(main, events, calls)


def _tell(main: RankRun, events: list[DropoutRan], calls: list[ModelCalled]) -> Found:
    first = events[0]
    rate = float(first.rate)
    attention = first.function == "scaled_dot_product_attention"
    what = "of the attention weights" if attention else "of the values"
    sampled = sampled_repeatedly([call for call in calls if call.model == first.model])
    if attention:
        remedy = "- {line}\n+ # the same with dropout_p=... if self.training else 0.0"
    else:
        remedy = "- {line}\n+ # the same with training=self.training, or with an nn.Dropout made in __init__"
    return found(
        first,
        sum(update.events[-1].at < first.at for update in main.updates if update.events),
        f"{share(rate)} {what} are dropped here although {first.around} is in evaluation mode: "
        f"eval() does not reach this dropout, so every evaluation is that of a randomly damaged network",
        facts={"rate": rate, "function": first.function, "around": first.around, "explicit": first.explicit},
        remedy=remedy,
        evidence="hint" if sampled or first.explicit else None,
    )


def bad() -> None:
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.out = nn.Linear(8, 16), nn.Linear(16, 2)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            hidden = torch.relu(self.hidden(inputs))
            hidden = nn.functional.dropout(hidden, 0.3)  # fires
            scores: torch.Tensor = self.out(hidden)
            return scores

    torch.manual_seed(0)
    inputs = torch.randn(96, 8)
    targets = (inputs[:, 0] > 0).long()
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scores = []
    for _epoch in range(2):
        model.train()
        for batch in torch.randperm(64).split(16):
            loss = nn.functional.cross_entropy(model(inputs[batch]), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            scores.append(float((model(inputs[64:]).argmax(1) == targets[64:]).float().mean()))


def good() -> None:
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.out = nn.Linear(8, 16), nn.Linear(16, 2)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            hidden = torch.relu(self.hidden(inputs))
            hidden = nn.functional.dropout(hidden, 0.3, training=self.training)
            scores: torch.Tensor = self.out(hidden)
            return scores

    torch.manual_seed(0)
    inputs = torch.randn(96, 8)
    targets = (inputs[:, 0] > 0).long()
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scores = []
    for _epoch in range(2):
        model.train()
        for batch in torch.randperm(64).split(16):
            loss = nn.functional.cross_entropy(model(inputs[batch]), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            scores.append(float((model(inputs[64:]).argmax(1) == targets[64:]).float().mean()))
