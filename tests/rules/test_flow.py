"""The rules of the phase "gradients": what correct code looks the same, what only deserves a hint, and the numbers."""

from __future__ import annotations

import copy
import gc
from collections import deque

import pytest
import torch
from torch import nn

from stepscope import rules
from stepscope.checking.engine import judge
from stepscope.observe.schedule import Plan
from stepscope.observe.watch import Watch
from stepscope.record.events import Backward

RULES = (
    "leaf-loss",
    "unreached-parameters",
    "retained-graphs",
    "undetached-target",
    "nonfinite-values",
    "skipped-steps",
    "vanishing-gradients",
    "exploding-gradients",
    "dead-units",
    "saturated-units",
)


@pytest.fixture
def judged(record):
    """Run a training, watched as ``check`` would, and ask the rules of this phase."""

    def run(train):
        torch.manual_seed(0)
        with Watch(record, Plan(thorough=200)) as watched:
            train()
        verdict = judge(watched.run, {name: rules.get(name) for name in RULES})
        assert verdict.defects == {}
        return verdict, watched.run

    return run


def told(verdict):
    return [(finding.rule, finding.evidence) for finding in verdict.findings]


def line_of(train, words):
    """The line in this file of the first line of ``train`` with these ``words``."""
    import inspect

    lines, start = inspect.getsourcelines(train)
    return start + next(number for number, line in enumerate(lines) if words in line)


def fit(model, *, updates=10, classes=3, lr=0.05, batch=32, width=8, forward=None):
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for _ in range(updates):
        inputs, targets = torch.randn(batch, width), torch.randint(classes, (batch,))
        loss = nn.functional.cross_entropy((forward or model)(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


# leaf-loss


def test_a_leaf_in_place_of_the_loss_of_an_empty_batch_is_silent(judged):
    def train():
        model = nn.Linear(4, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for i in range(20):
            if i % 5:
                loss = nn.functional.cross_entropy(model(torch.randn(8, 4)), torch.randint(2, (8,)))
            else:
                loss = torch.tensor(0.0, requires_grad=True)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    assert told(judged(train)[0]) == []


def test_a_leaf_that_is_itself_trained_is_silent(judged):
    def train():
        weight = nn.Parameter(torch.tensor(1.0))
        optimizer = torch.optim.SGD([weight], lr=0.1)
        for _ in range(5):
            optimizer.zero_grad()
            weight.backward()
            optimizer.step()

    assert told(judged(train)[0]) == []


def test_an_input_whose_gradient_is_wanted_is_silent(judged):
    def train():
        model = nn.Linear(8, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(8):
            inputs, targets = torch.randn(16, 8, requires_grad=True), torch.randint(3, (16,))
            nn.functional.cross_entropy(model(inputs), targets).backward()
            attacked = (inputs + 0.1 * inputs.grad.sign()).detach()
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(attacked), targets).backward()
            optimizer.step()

    assert told(judged(train)[0]) == []


def test_a_leaf_that_was_scaled_or_divided_is_a_leaf_all_the_same(judged):
    def train():
        model = nn.Linear(4, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(6):
            value = nn.functional.mse_loss(model(torch.randn(8, 4)), torch.randn(8, 1)).item()
            loss = torch.tensor(value, requires_grad=True)
            optimizer.zero_grad()
            (loss / 4).backward()
            optimizer.step()

    verdict, _ = judged(train)
    assert ("leaf-loss", "proof") in told(verdict)
    assert verdict.findings[0].line == line_of(train, "(loss / 4).backward()")


# unreached-parameters


class Cut(nn.Module):
    """An encoder whose features reach the head by way of ``through``."""

    def __init__(self, through):
        super().__init__()
        self.encoder, self.head, self.through = nn.Linear(8, 6), nn.Linear(6, 3), through

    def forward(self, inputs):
        return self.head(self.through(torch.tanh(self.encoder(inputs))))


@pytest.mark.parametrize(
    "through",
    [
        lambda x: x.data,
        lambda x: torch.from_numpy(x.detach().numpy()),
        lambda x: torch.tensor(x.tolist()),
        lambda x: torch.distributions.Normal(x, 1.0).sample(),
        lambda x: nn.functional.one_hot(x.argmax(1), 6).float(),
    ],
)
def test_each_way_to_cut_the_graph_is_found_on_its_line(judged, through):
    verdict, _ = judged(lambda: fit(Cut(through)))
    assert told(verdict) == [("unreached-parameters", "strong")]
    assert verdict.findings[0].line == through.__code__.co_firstlineno
    assert verdict.findings[0].facts["weights"] == 8 * 6 + 6
    assert verdict.findings[0].facts["of"] == 8 * 6 + 6 + 6 * 3 + 3


def test_features_made_without_gradients_may_be_meant(judged):
    def quiet(module, inputs):
        with torch.no_grad():
            return module(inputs)

    def train():
        encoder, head = nn.Linear(8, 6), nn.Linear(6, 3)
        fit(nn.ModuleList([encoder, head]), forward=nn.Sequential(Quiet(encoder), head))

    class Quiet(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, inputs):
            return quiet(self.inner, inputs)

    assert [e for _, e in told(judged(train)[0])] in ([], ["hint"])


def test_a_layer_whose_output_is_not_used_is_a_hint(judged):
    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.pooler, self.head = nn.Linear(8, 6), nn.Linear(6, 6), nn.Linear(6, 3)

        def forward(self, inputs):
            features = self.encoder(inputs)
            self.pooled = self.pooler(features)
            return self.head(features)

    verdict, _ = judged(lambda: fit(Pooled()))
    assert told(verdict) == [("unreached-parameters", "hint")]
    assert "pooler" in verdict.findings[0].message


def test_stop_gradients_on_what_is_reached_otherwise_are_silent(judged):
    def train():
        encoder, predictor = nn.Linear(8, 6), nn.Linear(6, 6)
        optimizer = torch.optim.SGD([*encoder.parameters(), *predictor.parameters()], lr=0.05)
        for _ in range(10):
            one, two = encoder(torch.randn(16, 8)), encoder(torch.randn(16, 8))
            loss = -nn.functional.cosine_similarity(predictor(one), two.detach()).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    assert told(judged(train)[0]) == []


def test_a_frozen_backbone_and_an_expert_that_is_seldom_used_are_silent(judged):
    class Experts(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = nn.Linear(8, 6).requires_grad_(False)
            self.experts = nn.ModuleList([nn.Linear(6, 3) for _ in range(3)])
            self.calls = 0

        def forward(self, inputs):
            self.calls += 1
            return self.experts[min(self.calls // 4, 2)](self.backbone(inputs))

    assert told(judged(lambda: fit(Experts(), updates=14))[0]) == []


# retained-graphs


def train_and(keep, updates=24):
    model = nn.Sequential(nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(updates):
        outputs = model(torch.randn(16, 8))
        loss = nn.functional.cross_entropy(outputs, torch.randint(3, (16,)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        keep(loss, outputs)


def test_kept_outputs_are_found_in_the_list_they_are_put_into(judged):
    held = []
    verdict, run = judged(lambda: train_and(lambda _loss, outputs: held.append((outputs, 1))))
    assert told(verdict) == [("retained-graphs", "strong")]
    assert verdict.findings[0].facts["alive"] == 23
    assert [b.kept for b in run.main.of(Backward)] == list(range(24))


def test_an_attribute_is_named_and_its_line_found(judged):
    class Trainer:
        def __init__(self):
            self.losses = []

        def run(self):
            train_and(self.keep)

        def keep(self, loss, _outputs):
            self.losses.append(loss)

    verdict, _ = judged(Trainer().run)
    (finding,) = verdict.findings
    assert finding.facts["holder"].endswith("losses")
    assert finding.line == line_of(Trainer, "losses.append(loss)")


@pytest.mark.parametrize("kept", [[].append, deque(maxlen=3).append])
def test_numbers_detached_tensors_and_the_last_few_losses_are_silent(judged, kept):
    few = deque(maxlen=3)

    def keep(loss, outputs):
        kept(loss.detach())
        kept(outputs.argmax(1))
        few.append(loss)

    assert told(judged(lambda: train_and(keep))[0]) == []


def test_graphs_in_a_cycle_only_wait_for_the_collector(judged):
    def keep(loss, _outputs):
        cycle = [loss]
        cycle.append(cycle)

    gc.disable()
    try:
        assert told(judged(lambda: train_and(keep))[0]) == []
    finally:
        gc.enable()


def test_marks_leave_nothing_behind_that_holds_a_graph(judged):
    import weakref

    class Probe:
        pass

    seen = []

    def keep(loss, _outputs):
        probe = loss.grad_fn.metadata["probe"] = Probe()
        seen.append(weakref.ref(probe))

    judged(lambda: train_and(keep))
    assert [ref for ref in seen if ref() is not None] == []


# nonfinite-values


def regress(shape, *, updates=8, nan_at=None, guard=False):
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for i in range(updates):
        inputs, targets = torch.randn(16, 4), torch.randn(16, 3)
        if i == nan_at:
            inputs[3, 2] = float("nan")
        loss = shape(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        if guard and not all(p.grad.isfinite().all() for p in model.parameters()):
            continue
        optimizer.step()


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (lambda out, y: ((out - y).relu().sum(1) * 0).sqrt().mean(), "the slope of a square root at 0"),
        (lambda out, y: (out.relu() * 0).log().mean() + y.mean(), "the logarithm of 0"),
        (lambda out, y: ((out - y) / (out * 0)).mean(), "a division by 0"),
        (lambda out, y: (out - 9 - y.abs()).sqrt().mean(), "the square root of a negative number"),
        (lambda out, y: (torch.softmax(out + float("-inf"), 1) - y).mean(), "a softmax over a row"),
        (lambda out, y: (out - 9 - y.abs()).pow(1.5).mean(), "a negative number to the power of 1.5"),
        (lambda out, y: torch.acos(out * 0 + 1 + 0 * y).mean(), "the slope of an inverse at 1"),
    ],
)
def test_the_operation_that_is_not_defined_there_is_named(judged, shape, words):
    verdict, _ = judged(lambda: regress(shape))
    assert told(verdict) == [("nonfinite-values", "proof")]
    (finding,) = verdict.findings
    assert words in finding.message
    assert finding.line == shape.__code__.co_firstlineno
    assert finding.update == 1


def test_what_is_not_finite_in_a_batch_came_in_with_it(judged):
    verdict, _ = judged(lambda: regress(nn.functional.mse_loss, updates=20, nan_at=12))
    assert told(verdict) == [("nonfinite-values", "proof")]
    assert verdict.findings[0].update == 13
    assert "it came in with the batch" in verdict.findings[0].message


def test_a_batch_that_the_script_itself_leaves_out_is_silent(judged):
    verdict, run = judged(lambda: regress(nn.functional.mse_loss, nan_at=5, guard=True))
    assert told(verdict) == []
    assert any(b.broken for b in run.main.of(Backward))


def test_masked_logits_are_silent(judged):
    def shape(out, y):
        masked = out.masked_fill(y > 1, float("-inf"))
        masked[:, 0] = out[:, 0]
        return -torch.log_softmax(masked, 1)[:, 0].mean()

    assert told(judged(lambda: regress(shape))[0]) == []


def test_a_training_that_diverged_is_a_hint(judged):
    def train():
        model = nn.Linear(4, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=1e9)
        for _ in range(12):
            loss = nn.functional.mse_loss(model(torch.randn(16, 4)), torch.randn(16, 3))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    assert set(told(judged(train)[0])) <= {("nonfinite-values", "hint")}


# skipped-steps


def scaled(spoilt, *, scale=256.0, updates=24):
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    for i in range(updates):
        loss = nn.functional.mse_loss(model(torch.randn(16, 4)), torch.randn(16, 3))
        optimizer.zero_grad()
        scaler.scale(loss * (float("inf") if spoilt(i) else 1.0)).backward()
        scaler.step(optimizer)
        scaler.update()


def test_first_steps_skipped_while_the_scale_settles_are_silent(judged):
    assert told(judged(lambda: scaled(lambda i: i < 7))[0]) == []


def test_single_skips_later_on_are_silent(judged):
    assert told(judged(lambda: scaled(lambda i: i in {9, 18}))[0]) == []


def test_steps_that_are_skipped_again_and_again_are_counted(judged):
    verdict, _ = judged(lambda: scaled(lambda i: i % 2 == 1))
    (finding,) = [f for f in verdict.findings if f.rule == "skipped-steps"]
    assert (finding.facts["skipped"], finding.facts["of"]) == (12, 24)


def test_a_run_in_which_no_step_is_real_is_found_once_the_scale_is_low(judged):
    verdict, _ = judged(lambda: scaled(lambda _i: True, scale=64.0, updates=8))
    assert [f.rule for f in verdict.findings] == ["skipped-steps"]


# vanishing-gradients, exploding-gradients


def test_residual_branches_and_adapters_that_start_at_zero_are_silent(judged):
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.up, self.down = nn.Linear(8, 8), nn.Linear(8, 8)
            nn.init.zeros_(self.down.weight)
            nn.init.zeros_(self.down.bias)

        def forward(self, x):
            return x + self.down(torch.relu(self.up(x)))

    assert told(judged(lambda: fit(nn.Sequential(*(Residual() for _ in range(4)), nn.Linear(8, 3))))[0]) == []


def test_large_gradients_that_are_clipped_are_silent(judged):
    def train():
        layers = [layer for _ in range(6) for layer in (nn.Linear(16, 16), nn.ReLU())]
        for layer in layers[::2]:
            nn.init.normal_(layer.weight)
        model = nn.Sequential(*layers, nn.Linear(16, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
        for _ in range(10):
            loss = nn.functional.mse_loss(model(torch.randn(16, 16)), torch.randn(16, 1))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

    assert told(judged(train)[0]) == []


# dead-units, saturated-units


def test_a_few_dead_units_are_silent(judged):
    def train():
        hidden = nn.Linear(8, 20)
        with torch.no_grad():
            hidden.bias[:8] = -20.0
        fit(nn.Sequential(hidden, nn.ReLU(), nn.Linear(20, 3)))

    verdict, run = judged(train)
    assert told(verdict) == []
    looks = [units for u in run.main.looks for units in u.look.units]
    assert [units.dead for units in looks[:3]] == [8, 8, 8]
    assert [units.lasting for units in looks[:5]] == [0, 0, 0, 8, 8]


def test_dead_channels_of_a_convolution_are_counted_as_units(judged):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(1, 10, 3), nn.Linear(10, 3)
            nn.init.constant_(self.conv.bias, -9.0)

        def forward(self, inputs):
            features = nn.functional.relu(self.conv(inputs.view(-1, 1, 4, 4)))
            return self.head(features.mean((2, 3)))

    verdict, _ = judged(lambda: fit(Net(), width=16))
    assert told(verdict) == [("dead-units", "strong")]
    assert (verdict.findings[0].facts["dead"], verdict.findings[0].facts["units"]) == (10, 10)
    assert verdict.findings[0].line == line_of(Net, "nn.functional.relu")


def test_units_that_take_turns_are_silent(judged):
    class Sparse(nn.Module):
        def __init__(self):
            super().__init__()
            self.code, self.head = nn.Linear(8, 64), nn.Linear(64, 3)
            self.shift = 0

        def forward(self, inputs):
            self.shift += 1
            away = torch.full((64,), -50.0)
            away[(torch.arange(6) + 6 * self.shift) % 64] = 0.0
            return self.head(torch.relu(self.code(inputs) + away))

    assert told(judged(lambda: fit(Sparse()))[0]) == []


def test_probabilities_at_the_end_are_no_hidden_units(judged):
    def train():
        model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4), nn.Sigmoid())
        nn.init.normal_(model[2].weight, std=30.0)
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
        for _ in range(8):
            loss = nn.functional.binary_cross_entropy(model(torch.randn(64, 8)), torch.rand(64, 4).round())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    verdict, run = judged(train)
    assert told(verdict) == []
    last = [units for units in run.main.looks[0].look.units if units.operation == "sigmoid"]
    assert last[0].saturated > 0.6
    assert not last[0].inner


def test_the_saturated_share_is_that_of_outputs_within_a_hundredth_of_the_range(judged):
    grid = torch.linspace(-6, 6, 601).reshape(1, -1).repeat(2, 1)

    class Gate(nn.Module):
        def __init__(self):
            super().__init__()
            self.shift, self.head = nn.Parameter(torch.zeros(601)), nn.Linear(601, 3)

        def forward(self, inputs):
            return self.head(torch.sigmoid(inputs + self.shift))

    def train():
        model = Gate()
        loss = nn.functional.cross_entropy(model(grid), torch.tensor([0, 1]))
        loss.backward()
        torch.optim.SGD(model.parameters(), lr=0.1).step()

    _, run = judged(train)
    (units,) = run.main.looks[0].look.units
    values = torch.sigmoid(grid.double())
    assert units.saturated == pytest.approx(((values < 0.01) | (values > 0.99)).double().mean().item(), abs=5e-3)
    assert units.slope == pytest.approx((4 * values * (1 - values)).mean().item(), rel=1e-4)


# exploding-gradients inside a recurrent layer


@pytest.mark.parametrize(
    ("spread", "factor", "expected"), [(0.7, 1.0, [("exploding-gradients", "hint")]), (0.1, 1e4, [])]
)
def test_gradients_that_grow_through_the_steps_of_a_recurrent_layer(judged, spread, factor, expected):
    def train():
        layer, head = nn.RNN(2, 32, batch_first=True), nn.Linear(32, 1)
        nn.init.normal_(layer.weight_hh_l0, 0, spread)
        optimizer = torch.optim.SGD([*layer.parameters(), *head.parameters()], lr=1e-9)
        for _ in range(6):
            outputs, _state = layer(torch.randn(8, 60, 2))
            optimizer.zero_grad()
            (factor * nn.functional.mse_loss(head(outputs), torch.randn(8, 60, 1))).backward()
            optimizer.step()

    assert [one for one in told(judged(train)[0]) if one[0] == "exploding-gradients"] == expected


# undetached-target


def test_a_target_network_and_a_difference_of_two_embeddings_are_silent(judged):
    def train():
        values = nn.Linear(4, 2)
        frozen = copy.deepcopy(values)
        optimizer = torch.optim.SGD(values.parameters(), lr=0.05)
        for _ in range(8):
            states, following = torch.randn(16, 4), torch.randn(16, 4)
            with torch.no_grad():
                target = states.sum(1) + 0.9 * frozen(following).max(1).values
            loss = nn.functional.mse_loss(values(states).max(1).values, target)
            loss = loss + 0.1 * ((values(states) - values(following)) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    assert told(judged(train)[0]) == []


def _with_advantage(weigh):
    """Train an actor and a critic; ``weigh`` makes of a value and its return what weighs the policy's loss."""

    def train():
        body, policy, critic = nn.Linear(4, 8), nn.Linear(8, 2), nn.Linear(8, 1)
        parts = nn.ModuleList([body, policy, critic])
        optimizer = torch.optim.SGD(parts.parameters(), lr=0.01)
        for _ in range(4):
            hidden = torch.tanh(body(torch.randn(16, 4)))
            chances = torch.distributions.Categorical(logits=policy(hidden))
            value = critic(hidden).squeeze(1)
            returns = torch.randn(16)
            advantage = weigh(returns, value)
            loss = -(chances.log_prob(chances.sample()) * advantage).mean()
            loss = loss + nn.functional.smooth_l1_loss(value, returns)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return train


def test_an_advantage_through_which_the_policy_moves_the_critic(judged):
    verdict, _ = judged(_with_advantage(lambda returns, value: returns - value))
    (finding,) = verdict.findings
    assert (finding.rule, finding.evidence) == ("undetached-target", "hint")
    assert "4 parameters of the network lie behind it" in finding.message  # those of body and critic


def test_a_detached_advantage_is_silent(judged):
    assert told(judged(_with_advantage(lambda returns, value: returns - value.detach()))[0]) == []


def test_one_minus_a_gate_is_no_advantage(judged):
    def train():
        gate, new, head = nn.Linear(4, 8), nn.Linear(4, 8), nn.Linear(4, 8)
        optimizer = torch.optim.SGD(nn.ModuleList([gate, new, head]).parameters(), lr=0.01)
        for _ in range(4):
            inputs = torch.randn(16, 4)
            share = torch.sigmoid(gate(inputs))
            mixed = share * head(inputs) + (torch.ones(8) - share) * new(inputs)
            loss = nn.functional.mse_loss(mixed, torch.randn(16, 8))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    assert told(judged(train)[0]) == []


# The facts must cost the training nothing.


def test_a_thorough_watch_leaves_weights_and_random_numbers_as_they_are(judged):
    class Busy(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.head = nn.Linear(8, 16), nn.Linear(16, 16), nn.Linear(16, 3)

        def forward(self, inputs):
            hidden = nn.functional.dropout(torch.relu_(self.one(inputs)), 0.3)
            hidden = torch.utils.checkpoint.checkpoint(self.two, hidden, use_reentrant=False)
            drawn = torch.distributions.Normal(torch.sigmoid(hidden), 0.1).rsample()
            return self.head(drawn + hidden.detach() * hidden.mean().item())

    ends = []

    def train():
        model = Busy()
        fit(model, updates=12)
        ends.append([torch.cat([p.detach().reshape(-1) for p in model.parameters()]), torch.rand(4)])

    torch.manual_seed(0)
    train()
    judged(train)
    assert all(torch.equal(one, other) for one, other in zip(*ends, strict=True))


# What a rule cannot judge.


def test_without_a_backward_most_have_nothing_to_judge(judged):
    def train():
        nn.Linear(4, 2)(torch.randn(3, 4))

    verdict, _ = judged(train)
    assert set(verdict.unjudged) == set(RULES)
