"""What should learn is frozen: an optimizer steps, and nothing, or only a sliver, can train.

What it sees: all parameters that an optimizer holds have `requires_grad` switched off, step after step;
or the only ones that can train are biases or scales of one single layer, while the random
weights of the output layer are frozen.

Why it hurts: the loop runs, the loss may even fall a little, but the layer that was to learn the task
cannot.

What to do: look at which parameters the freezing loop leaves out, by name; a new head must be among them.

When to ignore it: while a part waits for its turn, as in gradual unfreezing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.holding import holdings, where_made
from stepscope.checking.readings.loop import held_by, parameter_names
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count, listed, share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found, Place
    from stepscope.record.holding import ModelState
    from stepscope.record.run import RankRun, Run
    from stepscope.record.updates import Update

RULE = Rule(phase="trained", evidence="proof")

#: So many steps in a row with nothing to train are no phase of a schedule any more.
STEPS = 3
#: Above this share of trainable numbers nobody speaks of a sliver.
SLIVER = 0.05


def check(run: Run) -> Iterator[Found]:
    main = run.main
    stepping = {owner for update in main.updates for owner in update.owners}
    if not stepping:
        raise NothingToJudge("no optimizer stepped")
    for owner in main.optimizers:
        if owner in stepping:
            yield from _nothing_trains(main, owner)
    yield from _a_sliver_trains(main)


def _nothing_trains(main: RankRun, owner: str) -> Iterator[Found]:
    steps = [(update, step) for update in main.updates for step in update.steps if step.optimizer == owner]
    if len(steps) < STEPS or not all(step.frozen == step.parameters > 0 for _, step in steps):
        return
    update, step = steps[0]
    optimizer = main.optimizer_name(owner)
    yield found(
        _frozen_at(main, owner),
        update.index,
        f"{optimizer} steps, but all {count(step.parameters, 'parameter')} that it holds are frozen "
        f"(requires_grad is False): in {count(len(steps), 'step')} it changed none of them",
        facts={"optimizer": optimizer, "parameters": step.parameters, "steps": len(steps)},
        remedy="- {line}\n+ param.requires_grad = True  # for those that shall learn",
        evidence="proof",
    )


def _a_sliver_trains(main: RankRun) -> Iterator[Found]:
    shapes = {info.id: info.shape for seen in main.models.values() for info in seen.parameters}
    told: set[str] = set()
    for update, holding in holdings(main):
        for state in holding.models:
            random = _random_output(main, update, state)
            if not random or state.model in told or not update.owners or not state.learning:
                continue
            held = {p for owner in update.owners for p in held_by(main, owner)}
            vectors = all(len(shapes.get(p, [])) == 1 and p in held for p in state.learning)
            if vectors and _one_layer(main, state.learning) and state.trainable < SLIVER * state.elements:
                told.add(state.model)
                yield _tell(main, update, state, random)


def _random_output(main: RankRun, update: Update, state: ModelState) -> list[str]:
    """The parameters of the model's last layer that are frozen with their first, random values."""
    names = parameter_names(main)
    fresh = {names.get(p, p) for p in state.fresh}
    layers = [one for one in update.look.layers if one.model == state.model and one.parameters] if update.look else []
    return [name for name in layers[-1].parameters if name in fresh] if layers else []


def _one_layer(main: RankRun, parameters: list[str]) -> bool:
    names = parameter_names(main)
    return len({names.get(p, p).rpartition(".")[0] for p in parameters}) == 1


def _tell(main: RankRun, update: Update, state: ModelState, random: list[str]) -> Found:
    names = parameter_names(main)
    learning = [names.get(p, p) for p in state.learning]
    part = share(state.trainable / state.elements)
    return found(
        _frozen_at(main, update.owners[0]),
        update.index,
        f"only {listed(learning)} can train: {state.trainable:,} of {state.elements:,} numbers ({part}). "
        f"{listed(random)} of the output layer {'is' if len(random) == 1 else 'are'} frozen with the random values "
        "that it began with",
        facts={"trainable": state.trainable, "numbers": state.elements, "learning": learning, "random": random},
        remedy="- {line}\n+ param.requires_grad = ...  # True for the whole output layer",
        evidence="strong",
    )


def _frozen_at(main: RankRun, owner: str) -> Place:
    """The one statement that freezes parameters; where there are several, where the optimizer was made."""
    switches = dict.fromkeys(s for _, holding in holdings(main) for s in holding.switches)
    return next(iter(switches)) if len(switches) == 1 else where_made(main, owner)


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    generator = nn.Linear(2, 4)
    critic = nn.Linear(4, 1)
    for parameter in critic.parameters():
        parameter.requires_grad = False  # fires
    to_generate = torch.optim.SGD(generator.parameters(), lr=0.05)
    to_judge = torch.optim.SGD(critic.parameters(), lr=0.05)
    real = torch.randn(64, 4) + 1
    for index in torch.randperm(64).split(16):
        made = generator(torch.randn(16, 2))
        to_judge.zero_grad()
        (critic(made).mean() - critic(real[index]).mean()).backward()
        to_judge.step()
        to_generate.zero_grad()
        (-critic(generator(torch.randn(16, 2)))).mean().backward()
        to_generate.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    generator = nn.Linear(2, 4)
    critic = nn.Linear(4, 1)
    to_generate = torch.optim.SGD(generator.parameters(), lr=0.05)
    to_judge = torch.optim.SGD(critic.parameters(), lr=0.05)
    real = torch.randn(64, 4) + 1
    for index in torch.randperm(64).split(16):
        made = generator(torch.randn(16, 2))
        to_judge.zero_grad()
        (critic(made.detach()).mean() - critic(real[index]).mean()).backward()
        to_judge.step()
        critic.requires_grad_(False)
        to_generate.zero_grad()
        (-critic(generator(torch.randn(16, 2)))).mean().backward()
        to_generate.step()
        critic.requires_grad_(True)
