"""Rules on learning-rate schedules: bugs in other clothes than their examples, and correct code that looks like them."""

from __future__ import annotations

import pytest

RULES = ("miscounted-schedule", "idle-scheduler", "scheduler-before-optimizer")

#: A loader of 12 batches, and a model; ``go`` trains, with schedulers stepped where the script says.
SETTING = """
from torch.utils.data import DataLoader, TensorDataset
from torch.optim import lr_scheduler as lrs
loader = DataLoader(TensorDataset(X, Y), batch_size=8, shuffle=True)
model = mlp()
optimizer = sgd(model.parameters(), lr=0.1)
def update(x, y):
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()
"""


def with_setting(body):
    lines = body.splitlines()
    indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    return SETTING + "\n".join(line[indent:] for line in lines)


BUGS = {
    "ExponentialLR after every batch": (
        "miscounted-schedule",
        "strong",
        """
        schedule = lrs.ExponentialLR(optimizer, gamma=0.5)
        for epoch in range(3):
            for x, y in loader:
                update(x, y)
                schedule.step()  # here
        """,
    ),
    "a cosine over epochs, stepped by batches": (
        "miscounted-schedule",
        "strong",
        """
        schedule = lrs.CosineAnnealingLR(optimizer, T_max=4)
        for epoch in range(4):
            for x, y in loader:
                update(x, y)
                schedule.step()  # here
        """,
    ),
    "one cycle stepped by epochs": (
        "miscounted-schedule",
        "strong",
        """
        schedule = lrs.OneCycleLR(optimizer, max_lr=0.1, epochs=4, steps_per_epoch=len(loader))
        for epoch in range(4):
            for x, y in loader:
                update(x, y)
            schedule.step()  # here
        """,
    ),
    "a cosine over updates, stepped for each micro-batch": (
        "miscounted-schedule",
        "strong",
        """
        schedule = lrs.CosineAnnealingLR(optimizer, T_max=4 * len(loader) // 4)
        for epoch in range(4):
            for i, (x, y) in enumerate(loader, 1):
                (nn.functional.cross_entropy(model(x), y) / 4).backward()
                if i % 4 == 0:
                    optimizer.step()
                    optimizer.zero_grad()
                schedule.step()  # here
        """,
    ),
    "never stepped": (
        "idle-scheduler",
        "strong",
        """
        schedule = lrs.CosineAnnealingLR(optimizer, T_max=3)  # here
        for epoch in range(3):
            for x, y in loader:
                update(x, y)
        """,
    ),
    "for an optimizer that was replaced": (
        "idle-scheduler",
        "strong",
        """
        schedule = lrs.StepLR(optimizer, 1, gamma=0.9)  # here
        optimizer = torch.optim.Adam(model.parameters())
        for epoch in range(3):
            for x, y in loader:
                update(x, y)
            schedule.step()
        """,
    ),
    "not stepped so far": (
        "idle-scheduler",
        "strong",
        """
        schedule = lrs.StepLR(optimizer, 1)  # here
        for epoch in range(3):
            for i, (x, y) in enumerate(loader):
                update(x, y)
                if epoch == 1 and i == 5:
                    raise SystemExit
        """,
    ),
    "first the schedule, batch by batch": (
        "scheduler-before-optimizer",
        "proof",
        """
        schedule = lrs.CosineAnnealingLR(optimizer, T_max=3 * len(loader))
        for epoch in range(3):
            for x, y in loader:
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x), y).backward()
                schedule.step()  # here
                optimizer.step()
        """,
    ),
}


@pytest.mark.parametrize("name", BUGS)
@pytest.mark.filterwarnings("ignore")
def test_bugs_in_other_clothes(name, judged):
    rule, evidence, body = BUGS[name]
    got = judged(RULES, with_setting(body))
    assert [(r, e, line) for r, e, line in got.found if r == rule] == [(rule, evidence, got.line)], got.messages
    assert {r for r, e, _ in got.found if e != "hint"} <= {rule, "scheduler-before-optimizer"}


CORRECT = {
    "by epochs": """
        schedule = lrs.StepLR(optimizer, 1, gamma=0.3)
        for epoch in range(4):
            for x, y in loader:
                update(x, y)
            schedule.step()
        """,
    "a decay that counts updates": """
        schedule = lrs.StepLR(optimizer, 12, gamma=0.3)
        for epoch in range(4):
            for x, y in loader:
                update(x, y)
                schedule.step()
        """,
    "one cycle by updates, to the end": """
        schedule = lrs.OneCycleLR(optimizer, max_lr=0.1, total_steps=4 * len(loader))
        for epoch in range(4):
            for x, y in loader:
                update(x, y)
                schedule.step()
        """,
    "one epoch of linear decay to nothing": """
        schedule = lrs.LambdaLR(optimizer, lambda n: 1 - n / len(loader))
        for x, y in loader:
            update(x, y)
            schedule.step()
        """,
    "a cosine over micro-batches, stepped for each": """
        schedule = lrs.CosineAnnealingLR(optimizer, T_max=4 * len(loader))
        for epoch in range(4):
            for i, (x, y) in enumerate(loader, 1):
                (nn.functional.cross_entropy(model(x), y) / 4).backward()
                if i % 4 == 0:
                    optimizer.step()
                    optimizer.zero_grad()
                schedule.step()
        """,
    "a plateau that has not come": """
        schedule = lrs.ReduceLROnPlateau(optimizer, patience=10)
        for epoch in range(3):
            for x, y in loader:
                update(x, y)
        """,
    "schedulers in a sequence": """
        first = lrs.LinearLR(optimizer, total_iters=2)
        schedule = lrs.SequentialLR(optimizer, [first, lrs.CosineAnnealingLR(optimizer, 4)], milestones=[2])
        for epoch in range(4):
            for x, y in loader:
                update(x, y)
            schedule.step()
        """,
    "a schedule drawn beforehand": """
        dummy = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
        drawn = lrs.CosineAnnealingLR(dummy, 10)
        for _ in range(10):
            drawn.step()
        for x, y in loader:
            update(x, y)
        """,
    "caught up before the loop": """
        schedule = lrs.StepLR(optimizer, 2)
        for _ in range(3):
            schedule.step()
        for epoch in range(3):
            for x, y in loader:
                update(x, y)
            schedule.step()
        """,
    "a first step that was held back": """
        schedule = lrs.CosineAnnealingLR(optimizer, T_max=3 * len(loader))
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0 ** 127, growth_interval=1000)
        for epoch in range(3):
            for x, y in loader:
                optimizer.zero_grad()
                scaler.scale(nn.functional.cross_entropy(model(x), y)).backward()
                scaler.step(optimizer)
                scaler.update()
                schedule.step()
        """,
    "a plain cosine by epochs with as many as an epoch has batches": """
        schedule = lrs.CosineAnnealingLR(optimizer, T_max=24)
        for epoch in range(3):
            for i, (x, y) in enumerate(loader):
                update(x, y)
            schedule.step()
            if epoch == 2:
                raise SystemExit
        """,
}


@pytest.mark.parametrize("name", CORRECT)
@pytest.mark.filterwarnings("ignore")
def test_correct_schedules_are_left_alone(name, judged):
    got = judged(RULES, with_setting(CORRECT[name]))
    assert got.found == [], got.messages


@pytest.mark.filterwarnings("ignore")
def test_the_numbers_of_a_decay_that_is_too_fast(judged):
    got = judged(RULES, with_setting(BUGS["ExponentialLR after every batch"][2]))
    # 0.5 ** 7 = 0.0078 is the first power below 1 %; an epoch has 96 / 8 batches.
    assert "after 7 updates the learning rate was below 1 %" in got.messages[0]
    assert "(0.000781 of 0.100); an epoch has 12. 29 of 36 updates" in got.messages[0]


@pytest.mark.filterwarnings("ignore")
def test_nothing_to_judge_without_a_scheduler(judged):
    got = judged(RULES, "model = mlp()\nfit(model, sgd(model.parameters()))\n")
    assert set(got.unjudged) == set(RULES)
