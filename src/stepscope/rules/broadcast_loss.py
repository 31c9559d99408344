"""Predictions of shape (N, 1) meet targets of shape (N,), and every one is compared with all of them.

What it sees: in a loss, of torch or written by hand, a column (N, 1) and a row (N,) gave N x N
numbers, and these are squared, multiplied or otherwise bent before they are averaged. Sums and
differences under a mean come out the same and are no finding, nor are pairs that somebody made on
purpose.

Why it hurts: each prediction is drawn towards the targets of all samples, so the best that the
model can do is to give their mean. The loss falls to the variance of the targets and stays there.

What to do: give both the same shape, ``predictions.squeeze(1)`` or ``targets.unsqueeze(1)``.

When to ignore it: where all pairs of predictions and targets are meant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.losses import by_line, losses, number
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count, figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.finding import Evidence, Fact
    from stepscope.checking.readings.losses import Seen, Where
    from stepscope.checking.rule import Found
    from stepscope.record.lossfacts import AllPairs
    from stepscope.record.run import RankRun, Run
    from stepscope.record.updates import Update

RULE = Rule(phase="loss", evidence="proof")

#: So many looks tell a constant of the model from targets.
FEW = 3


def check(run: Run) -> Iterator[Found]:
    main = run.main
    if not main.looks:
        raise NothingToJudge("no update was looked at closely")
    told: set[Where] = set()
    deliberate = {(p.file, p.line) for u in main.looks if u.look for p in u.look.pairs if p.paired}
    for line in by_line(losses(main)):
        square = [call for call in line if _is_square(call)]
        if square and square[0].place not in deliberate and not _is_outer(square):
            told.add(square[0].place)
            yield _tell_loss(square, "proof" if _saw_shapes(square) else "strong")
    by_hand = [(u, p) for u in main.looks if u.look for p in u.look.pairs if _hurts(p)]
    by_hand = [(u, p) for u, p in by_hand if (p.file, p.line) not in told | deliberate and not _is_constant(main, p)]
    if by_hand:
        yield _tell_by_hand(by_hand)


def _is_square(call: Seen) -> bool:
    """Whether torch's own loss function compared all pairs of a prediction and a target."""
    given, target = call.facts.given, call.facts.target_given
    if not call.facts.prediction_grad or len(given) > 2 or len(target) > 2:
        return False
    return _pair_up(given, target) or _pair_up(target, given) or _is_one_against_square(given, target)


def _saw_shapes(line: list[Seen]) -> bool:
    """Whether a column and a row were seen there, before torch expanded them to each other."""
    place = line[0].place
    looks = [call.update.look for call in line if call.update.look]
    return any((pairs.file, pairs.line) == place for look in looks for pairs in look.pairs)


def _is_outer(line: list[Seen]) -> bool:
    """Whether the shapes at that line were listened to and are no column and row: (N, 1) and (1, N), on purpose."""
    place = line[0].place
    looks = [call.update.look for call in line if call.update.look]
    heard = any((one.file, one.line) == place for look in looks for one in look.lines)
    squared = _is_one_against_square(line[0].facts.given, line[0].facts.target_given)
    return heard and not squared and not _saw_shapes(line)


def _pair_up(column: list[int], row: list[int]) -> bool:
    return len(column) == 2 and column[1] == 1 and column[0] > 1 and row in ([column[0]], [1, column[0]])


def _is_one_against_square(given: list[int], target: list[int]) -> bool:
    """A prediction for each sample against N x N targets: what a column and a row made before."""
    return len(target) == 2 and target[0] == target[1] > 1 and given in ([target[0], 1], [1, target[0]])


def _hurts(pairs: AllPairs) -> bool:
    return not pairs.paired and pairs.bent and pairs.file is not None


def _is_constant(main: RankRun, pairs: AllPairs) -> bool:
    """Whether the row is always the same while the batches differ: bins or centres, no targets."""
    looks = [update.look for update in main.looks if update.look]
    rows = [p.row_mean for look in looks for p in look.pairs if (p.file, p.line) == (pairs.file, pairs.line)]
    batches = {str(look.batch[0].mean) for look in looks if look.batch}
    return len(rows) >= FEW and len(set(rows)) == 1 and len(batches) > 1


def _tell_loss(line: list[Seen], evidence: Evidence) -> Found:
    first = line[0]
    given, target = first.facts.given, first.facts.target_given
    size = max(given + target)
    squared = _is_one_against_square(given, target)
    shown = [size] if target == [1, size] else target
    message = (
        f"{first.loss.function} was given predictions of shape {_shape(given)} and targets of shape {_shape(shown)}: "
        "it "
        f"compares each of {size} predictions with all {size} targets, {size * size} pairs instead of {size}; so it "
        "went in "
        f"{count(len(line), 'update')} of those looked at"
    )
    facts: dict[str, Fact] = {"samples": size, "looked_at": len(line)}
    spread = first.loss.target.std if first.loss.target is not None else None
    if first.loss.function == "mse_loss" and spread is not None and not squared:
        floor = number(spread) ** 2
        facts["floor"] = floor
        message += f". The best that it can learn is their mean: this batch's loss cannot fall below {figure(floor)}"
        message += ", the variance of its targets"
    return found(
        first.place,
        first.update.index,
        message,
        facts=facts,
        remedy="- {line}\n+ (the same with predictions of the targets' shape, as by .squeeze(1))",
        evidence="strong" if squared else evidence,
    )


def _tell_by_hand(seen: list[tuple[Update, AllPairs]]) -> Found:
    update, first = seen[0]
    size = first.row[0] if len(first.row) == 1 else 0
    row = 1
    for length in first.row:
        row *= length
    lines = sorted({pairs.line for _, pairs in seen} - {first.line})
    also = f" (the same on line {', '.join(map(str, lines))})" if lines else ""
    others = len({update.index for update, _ in seen})
    return found(
        (first.file, first.line),
        update.index,
        f"{_words(first)} a column of shape {_shape(first.column)} and a row of shape {_shape(first.row)} gave all "
        f"{row} x {size or first.row[-1]} pairs{also}, and {first.by} bent them before they were averaged: each "
        "sample is set "
        f"against every other's number instead of its own; so it went in {count(others, 'update')} of those looked at",
        facts={"column": _shape(first.column), "row": _shape(first.row), "operation": first.operation, "by": first.by},
        remedy="- {line}\n+ (the same with both of one shape, as by .squeeze(1))",
    )


def _words(pairs: AllPairs) -> str:
    kinds = {"sub": "in a difference", "rsub": "in a difference", "mul": "in a product", "div": "in a quotient"}
    return f"{kinds.get(pairs.operation, f'in {pairs.operation}')} of the loss,"


def _shape(shape: list[int]) -> str:
    return f"({shape[0]},)" if len(shape) == 1 else f"({', '.join(map(str, shape))})"


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    inputs = torch.randn(128, 8)
    targets = inputs[:, 0] - inputs[:, 1]
    for start in range(0, 128, 16):
        predictions = model(inputs[start : start + 16])
        loss = ((predictions - targets[start : start + 16]) ** 2).mean()  # fires
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    inputs = torch.randn(128, 8)
    targets = inputs[:, 0] - inputs[:, 1]
    for start in range(0, 128, 16):
        predictions = model(inputs[start : start + 16]).squeeze(1)
        loss = ((predictions - targets[start : start + 16]) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
