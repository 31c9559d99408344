"""The rules about clearing and stepping: correct code that looks the same, weaker evidence, and their numbers."""

from __future__ import annotations

import inspect
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from stepscope import rules
from stepscope.checking.engine import judge
from stepscope.observe.schedule import Plan
from stepscope.observe.watch import Watch
from stepscope.record.events import GradientsClipped, OptimizerStepped

NAMES = (
    "stale-gradients",
    "discarded-gradients",
    "step-without-gradients",
    "gradients-never-applied",
    "unscaled-accumulation",
    "uneven-accumulation",
    "offset-accumulation",
    "leftover-accumulation",
    "clip-without-effect",
    "scaled-clip",
    "bypassed-scaler",
    "double-step",
    "zero-learning-rate",
    "learning-rate-too-high",
    "lost-updates",
)
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def checked(record):
    """Run a training as ``check`` would; return its record and what these rules say of it."""

    def run(train):
        torch.manual_seed(0)
        with Watch(record, Plan(thorough=200)) as watch:
            train()
        verdict = judge(watch.run, {name: rules.get(name) for name in NAMES})
        assert verdict.defects == {}
        return watch.run, verdict

    return run


@pytest.fixture
def told(checked):
    """Run a training; return ``(rule, evidence)`` of every finding."""
    return lambda train: [(f.rule, f.evidence) for f in checked(train)[1].findings]


def parts(optimizer=torch.optim.SGD, rate=0.05):
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))
    return model, optimizer(model.parameters(), lr=rate)


def loss_of(model, size=8):
    inputs = torch.randn(size, 4)
    return functional.cross_entropy(model(inputs), (inputs[:, 0] > 0).long())


# Correct code that must stay silent.


def gradients_cleared_by_hand():
    model, optimizer = parts()
    for _ in range(6):
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.data.zero_()
        loss_of(model).backward()
        optimizer.step()


def one_backward_for_another_network():
    generator, critic = nn.Linear(3, 4), nn.Linear(4, 1)
    of_generator = torch.optim.Adam(generator.parameters())
    of_critic = torch.optim.Adam(critic.parameters())
    for _ in range(6):
        made = generator(torch.randn(8, 3))
        of_critic.zero_grad()
        (critic(torch.randn(8, 4)).mean() - critic(made.detach()).mean()).backward()
        of_critic.step()
        of_generator.zero_grad()
        critic(made).mean().backward()
        nn.utils.clip_grad_norm_(generator.parameters(), 0.1)
        of_generator.step()


def gradients_combined_by_hand():
    model, optimizer = parts()
    for _ in range(6):
        kept = []
        for _task in range(3):
            optimizer.zero_grad()
            loss_of(model).backward()
            kept.append([parameter.grad.clone() for parameter in model.parameters()])
        for parameter, *gradients in zip(model.parameters(), *kept, strict=True):
            parameter.grad.data.copy_(sum(gradients))
        optimizer.step()


def sharpness_aware():
    model, optimizer = parts()
    for _ in range(6):
        optimizer.zero_grad()
        for sign in (1, -1):
            optimizer.zero_grad()
            loss_of(model).backward()
            climb = climb if sign < 0 else [0.1 * parameter.grad for parameter in model.parameters()]  # noqa: F821
            for parameter, step in zip(model.parameters(), climb, strict=True):
                parameter.data.add_(sign * step)
        optimizer.step()


def gradients_written_into_place():
    model, optimizer = parts()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    for _ in range(6):
        gradients = torch.autograd.grad(loss_of(model), list(model.parameters()))
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.grad.data.copy_(gradient)
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()


def a_schedule_run_through_for_a_plot():
    _, optimizer = parts()
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 3)
    for _ in range(9):
        optimizer.step()
        schedule.step()


def weights_written_by_hand():
    model, optimizer = parts()
    for _ in range(60):
        optimizer.zero_grad()
        loss_of(model).backward()
        for parameter in model.parameters():
            parameter.data -= 0.1 * parameter.grad


def an_optimizer_for_later():
    model, first = parts(torch.optim.Adam)
    torch.optim.LBFGS(model.parameters())
    for _ in range(60):
        first.zero_grad()
        loss_of(model).backward()
        first.step()


def accumulated_sums_divided():
    model, optimizer = parts()
    for _ in range(4):
        optimizer.zero_grad()
        for _micro in range(3):
            loss_of(model).backward()
        for parameter in model.parameters():
            parameter.grad /= 3
        optimizer.step()


def accumulated_by_share():
    model, optimizer = parts()
    for _ in range(4):
        optimizer.zero_grad()
        for size in (2, 12, 4):
            (loss_of(model, size) * size / 18).backward()
        optimizer.step()


def an_optimizer_that_holds_a_trunk_with_another():
    trunk, heads = nn.Linear(4, 6), [nn.Linear(6, 2), nn.Linear(6, 2)]
    both = [torch.optim.SGD([*trunk.parameters(), *head.parameters()], lr=0.1) for head in heads]
    for _ in range(6):
        for head, optimizer in zip(heads, both, strict=True):
            optimizer.zero_grad()
            loss_of(nn.Sequential(trunk, head)).backward()
            optimizer.step()


def scaled_and_unscaled_by_hand():
    model, optimizer = parts()
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    for _ in range(6):
        optimizer.zero_grad()
        scaler.scale(loss_of(model)).backward()
        for parameter in model.parameters():
            parameter.grad /= scaler.get_scale()
        optimizer.step()


def scaled_as_a_list():
    model, optimizer = parts()
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    for _ in range(6):
        optimizer.zero_grad()
        for loss in scaler.scale([loss_of(model), 0.1 * loss_of(model)]):
            loss.backward()
        scaler.step(optimizer)
        scaler.update()


def measured_by_clipping_to_infinity():
    model, optimizer = parts()
    for _ in range(6):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()
        nn.utils.clip_grad_norm_(model.parameters(), math.inf)


def warmed_up_from_zero():
    model, optimizer = parts()
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: step / 10)
    for _ in range(6):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize(
    "train",
    [
        gradients_cleared_by_hand,
        one_backward_for_another_network,
        gradients_combined_by_hand,
        sharpness_aware,
        gradients_written_into_place,
        a_schedule_run_through_for_a_plot,
        weights_written_by_hand,
        an_optimizer_for_later,
        accumulated_sums_divided,
        accumulated_by_share,
        an_optimizer_that_holds_a_trunk_with_another,
        scaled_and_unscaled_by_hand,
        scaled_as_a_list,
        measured_by_clipping_to_infinity,
        warmed_up_from_zero,
    ],
)
def test_correct_code_that_looks_the_same_is_silent(told, train):
    assert told(train) == []


# The same faults in other dress, and weaker evidence where one cannot be sure.


def test_momentum_kept_in_the_gradient_is_a_hint(told):
    def train():
        model, optimizer = parts()
        for _ in range(6):
            loss_of(model).backward()
            optimizer.step()
            for parameter in model.parameters():
                parameter.grad.data.mul_(0.5)  # leaves the version of the gradient as it is

    assert told(train) == [("stale-gradients", "hint")]


def test_gradients_set_to_zero_by_hand_before_the_step(told):
    def train():
        model, optimizer = parts()
        for _ in range(6):
            loss_of(model).backward()
            for parameter in model.parameters():
                parameter.grad.zero_()
            optimizer.step()

    assert told(train) == [("discarded-gradients", "proof")]


def test_accumulation_that_clears_in_every_round(told):
    def train():
        model, optimizer = parts()
        for i in range(16):
            optimizer.zero_grad()
            (loss_of(model) / 4).backward()
            if (i + 1) % 4 == 0:
                optimizer.step()

    assert told(train) == [("discarded-gradients", "strong")]


def test_a_round_before_whose_gradient_may_have_served_is_a_hint(told):
    def train():
        model, optimizer = parts()
        for _ in range(6):
            for _round in range(2):
                optimizer.zero_grad()
                loss_of(model).backward()
            optimizer.step()

    assert told(train) == [("discarded-gradients", "hint")]


def test_clipping_another_network_is_strong(told):
    def train():
        (model, optimizer), (other, of_other) = parts(), parts()
        for _ in range(6):
            of_other.zero_grad()
            loss_of(other).backward()
            of_other.step()
            of_other.zero_grad()
            optimizer.zero_grad()
            loss_of(nn.Sequential(nn.Linear(4, 4), model)).backward()
            loss_of(other).backward()
            nn.utils.clip_grad_norm_(other.parameters(), 0.01)
            optimizer.step()

    assert told(train) == [("clip-without-effect", "strong")]


def test_a_limit_that_may_have_been_scaled_is_a_hint(told):
    def train():
        model, optimizer = parts()
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        for _ in range(4):
            optimizer.zero_grad()
            scaler.scale(loss_of(model)).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.1 * scaler.get_scale())
            scaler.step(optimizer)
            scaler.update()

    assert told(train) == [("scaled-clip", "hint")]


def test_an_unscaled_loss_among_scaled_ones(told):
    def train():
        model, optimizer = parts()
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        for _ in range(4):
            optimizer.zero_grad()
            scaler.scale(loss_of(model)).backward()
            (0.1 * loss_of(model)).backward()
            scaler.step(optimizer)
            scaler.update()

    assert told(train) == [("bypassed-scaler", "strong")]


def test_two_optimizers_that_step_on_one_backward_with_weights_in_common(told):
    def train():
        model, optimizer = parts()
        of_head = torch.optim.SGD(model[2].parameters(), lr=0.05)
        for _ in range(4):
            optimizer.zero_grad()
            loss_of(model).backward()
            of_head.step()
            optimizer.step()

    assert told(train) == [("double-step", "strong")]


def test_a_part_held_at_rate_zero_while_another_trains_is_a_hint(told):
    def train():
        (model, optimizer), (other, of_other) = parts(), parts()
        schedule = torch.optim.lr_scheduler.LambdaLR(of_other, lambda step: float(step >= 6))
        for _ in range(10):
            optimizer.zero_grad()
            of_other.zero_grad()
            (loss_of(model) + loss_of(other)).backward()
            optimizer.step()
            of_other.step()
            schedule.step()

    assert told(train) == [("zero-learning-rate", "hint")]


def test_a_closure_that_never_clears_is_one_fault_only(told):
    def train():
        model, _ = parts()
        optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3)

        def closure():
            loss = loss_of(model)
            loss.backward()
            return loss

        for _ in range(8):
            optimizer.step(closure)

    assert told(train) == [("stale-gradients", "proof")]


def test_a_second_step_with_a_closure_that_does_nothing(told):
    def train():
        model, optimizer = parts()
        for _ in range(4):
            optimizer.zero_grad()
            loss_of(model).backward()
            for _step in range(2):
                optimizer.step(lambda: None)

    assert told(train) == [("double-step", "strong")]


def test_a_rate_that_is_raised_until_it_diverges_is_a_test_of_rates(told):
    def train():
        model, optimizer = parts(torch.optim.Adam, 1e-3)
        for _ in range(24):
            optimizer.zero_grad()
            loss_of(model).backward()
            optimizer.step()
            optimizer.param_groups[0]["lr"] *= 2

    assert told(train) == []


def test_noise_between_batches_is_no_rate_that_is_too_high(told):
    def train():
        torch.manual_seed(2)  # the first batch is an easy one
        model = nn.Linear(4, 1)
        with torch.no_grad():
            model.weight.mul_(0.2)  # small beside what the first steps add
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        for step in range(40):
            inputs = torch.randn(8, 4)
            targets = inputs.sum(1, keepdim=True) + (4.0 if step % 7 == 3 else 1.5) * torch.randn(8, 1)
            targets = 0.6 * targets if step == 0 else targets
            optimizer.zero_grad()
            functional.mse_loss(model(inputs), targets).backward()
            optimizer.step()

    assert told(train) == []


def test_a_search_for_a_learning_rate_may_try_one_that_is_too_high(told):
    def train():
        torch.manual_seed(3)
        for rate in (0.01, 3.0):
            model, optimizer = parts(torch.optim.Adam, rate)
            for _ in range(12):
                optimizer.zero_grad()
                inputs = torch.randn(16, 4)
                functional.cross_entropy(model(inputs), (inputs[:, 0] + torch.randn(16) > 0).long()).backward()
                optimizer.step()

    assert told(train) == []


def test_stale_gradients_are_told_at_the_first_backward_of_the_network_that_keeps_them(checked):
    def train():
        generator, critic = nn.Linear(3, 4), nn.Linear(4, 1)
        of_generator, of_critic = (torch.optim.SGD(part.parameters(), lr=0.01) for part in (generator, critic))
        for _ in range(4):
            made = generator(torch.randn(8, 3))
            critic(torch.randn(8, 4)).mean().backward()  # the first
            (-critic(made.detach()).mean()).backward()
            of_critic.step()
            of_generator.zero_grad()
            critic(made).mean().backward()
            of_generator.step()

    (finding,) = checked(train)[1].findings
    lines, start = inspect.getsourcelines(train)
    assert finding.rule == "stale-gradients"
    assert finding.line == start + next(i for i, line in enumerate(lines) if "# the first" in line)


def test_a_mean_over_samples_that_is_taken_apart_from_the_loss_function_is_accumulated_whole(told):
    def train():
        model, optimizer = parts()
        for _ in range(4):
            optimizer.zero_grad()
            for _micro in range(3):
                inputs = torch.randn(8, 4)
                each = functional.mse_loss(model(inputs), inputs[:, :2], reduction="none")
                each.flatten(1).mean(1).mean().backward()
            optimizer.step()

    assert told(train) == [("unscaled-accumulation", "hint")]


def test_a_weighted_mean_or_a_sum_over_samples_is_not_told_as_unscaled(told):
    def train():
        model, optimizer = parts()
        weights = torch.rand(8) / 24
        for _ in range(4):
            optimizer.zero_grad()
            for _micro in range(3):
                inputs = torch.randn(8, 4)
                each = functional.mse_loss(model(inputs), inputs[:, :2], reduction="none")
                (weights * each.flatten(1).mean(1)).sum().backward()
            optimizer.step()

    assert told(train) == []


def test_a_loop_that_never_runs_backward(told):
    def train():
        model, optimizer = parts()
        for _ in range(4):
            optimizer.zero_grad()
            loss_of(model)
            optimizer.step()

    assert told(train) == [("step-without-gradients", "proof")]


# Numbers.


def test_what_stale_gradients_cost_is_the_ratio_of_norms(checked):
    def train():
        weight = nn.Parameter(torch.zeros(2))
        optimizer = torch.optim.SGD([weight], lr=0.0625)
        for _ in range(3):
            (weight * torch.tensor([3.0, 4.0])).sum().backward()  # each asks for a gradient of norm 5
            optimizer.step()

    run, verdict = checked(train)
    (finding,) = verdict.findings
    assert finding.facts["excess"] == pytest.approx(3.0)
    assert "in update 3 the gradient applied was 3 x what its batch asked for" in finding.message
    third = run.updates[2].look.gathered[0]
    assert (third.before, third.added, third.after) == (10.0, 5.0, 15.0)
    assert third.weights == pytest.approx(math.hypot(3, 4) * 0.0625 * 3)


def test_what_a_scaled_clip_costs(checked):
    def train():
        weight = nn.Parameter(torch.zeros(2))
        optimizer = torch.optim.SGD([weight], lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=1000.0)
        for _ in range(3):
            optimizer.zero_grad()
            scaler.scale((weight * torch.tensor([3.0, 4.0])).sum()).backward()
            nn.utils.clip_grad_norm_([weight], 2.0)
            scaler.step(optimizer)
            scaler.update()

    (finding,) = checked(train)[1].findings
    assert "a gradient of norm 5 is applied with norm 0.00200" in finding.message


def test_steps_and_clippings_tell_fresh_gradients_from_used_ones(checked):
    def train():
        model, optimizer = parts()
        loss_of(model).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()  # fresh
        nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        optimizer.step()  # again, though clipped
        optimizer.zero_grad(set_to_none=False)
        optimizer.step()  # zero
        for parameter in model.parameters():
            parameter.grad.data.copy_(torch.ones_like(parameter))
        optimizer.step()  # written by hand, without a trace
        for parameter in model.parameters():
            parameter.grad = None
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()  # another tensor, perhaps in the same place

    run, _ = checked(train)
    steps = [(e.fresh, e.again) for e in run.main.of(OptimizerStepped)]
    assert steps == [(4, 0), (0, 4), (0, 0), (4, 0), (4, 0)]
    assert [(e.fresh, e.again) for e in run.main.of(GradientsClipped)] == [(4, 0), (0, 4)]


def test_nobody_who_only_watches_pays_for_it(watched):
    def train():
        model, optimizer = parts()
        loss_of(model).backward()
        optimizer.step()

    run = watched(train)
    assert [(e.fresh, e.again) for e in run.main.of(OptimizerStepped)] == [(-1, -1)]
    assert run.updates[0].look.gathered == []


def test_rules_that_have_nothing_to_judge_say_so(checked):
    def train():
        model, optimizer = parts()
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()

    unjudged = checked(train)[1].unjudged
    assert unjudged["scaled-clip"] == unjudged["bypassed-scaler"] == "no loss was scaled by a GradScaler"
    assert unjudged["clip-without-effect"] == "no gradients were clipped"
    assert unjudged["offset-accumulation"] == "no gradients were accumulated"
    assert unjudged["lost-updates"] == "no optimizer holds weights in half precision"
    assert "stale-gradients" not in unjudged
