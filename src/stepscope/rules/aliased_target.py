"""The target (or teacher) network is the online network itself: the same weights in the same memory.

What it sees: a statement that brings one network in line with another (`a.load_state_dict(b.state_dict())`, a loop over
`zip(a.parameters(), b.parameters())`), and both have the very same parameters: one object under two
names, or weights shared by `load_state_dict(..., assign=True)`.

Why it hurts: the target moves with every step of the network that chases it. What a slow or frozen target is
there for (stable values, no collapse) is gone, and averaging it does nothing.

What to do: `copy.deepcopy` the network for the target; load states without `assign=True`.

When to ignore it: where both names are meant for one network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.holding import holdings
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.finding import Evidence
    from stepscope.checking.rule import Found
    from stepscope.record.holding import Twins
    from stepscope.record.run import RankRun, Run
    from stepscope.record.updates import Update

RULE = Rule(phase="state", evidence="proof")


def check(run: Run) -> Iterator[Found]:
    main = run.main
    known = holdings(main)
    if not known:
        raise NothingToJudge("no backward was looked at closely")
    told: set[tuple[str, str]] = set()
    for update, holding in known:
        for pair in holding.twins:
            key = (pair.cls, pair.first)
            if key not in told:
                told.add(key)
                yield _tell(pair, update, _sureness(main, pair))


def _sureness(main: RankRun, pair: Twins) -> Evidence:
    """Sure where both roles are seen: called with gradients and, in the same update, without."""
    if not pair.one:
        return "proof"
    for update in main.updates:
        for made in update.rounds:
            trained = {call.model for call in made.calls if call.grad}
            if any(not call.grad and call.model in trained for call in made.calls):
                return "proof"
    return "hint"


def _tell(pair: Twins, update: Update, evidence: Evidence) -> Found:
    how = "are one and the same network" if pair.one else "are two networks with the same weights in the same memory"
    return found(
        pair,
        update.index,
        f"{pair.first} and {pair.second} {how} ({pair.cls}, {count(pair.parameters, 'parameter')}): each step that "
        f"changes {pair.second} changes {pair.first} as well, and bringing one in line with the other does nothing",
        facts={"target": pair.first, "online": pair.second, "parameters": pair.parameters},
        remedy=f"- {{line}}\n+ {pair.first} = copy.deepcopy({pair.second})",
        evidence=evidence,
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    online = nn.Linear(4, 2)
    target = online  # fires
    optimizer = torch.optim.SGD(online.parameters(), lr=0.1)
    for step in range(6):
        states, following, rewards = torch.randn(16, 4), torch.randn(16, 4), torch.randn(16)
        with torch.no_grad():
            goal = rewards + 0.9 * target(following).max(1).values
        optimizer.zero_grad()
        nn.functional.mse_loss(online(states)[:, 0], goal).backward()
        optimizer.step()
        if step % 3 == 2:
            target.load_state_dict(online.state_dict())


def good() -> None:
    import copy

    import torch
    from torch import nn

    torch.manual_seed(0)
    online = nn.Linear(4, 2)
    slow = copy.deepcopy(online)
    optimizer = torch.optim.SGD(online.parameters(), lr=0.1)
    for step in range(6):
        states, following, rewards = torch.randn(16, 4), torch.randn(16, 4), torch.randn(16)
        with torch.no_grad():
            goal = rewards + 0.9 * slow(following).max(1).values
        optimizer.zero_grad()
        nn.functional.mse_loss(online(states)[:, 0], goal).backward()
        optimizer.step()
        if step % 3 == 2:
            slow.load_state_dict(online.state_dict())
