"""Each module of a close look, against forward hooks of the test's own on an identical model."""

from __future__ import annotations

import copy
from collections import OrderedDict
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


@dataclass
class Answer:
    logits: torch.Tensor
    extra: torch.Tensor


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(4, 6)
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(6, 6), nn.ReLU(inplace=True)) for _ in range(2)])
        self.heads = nn.ModuleDict({"a": nn.Linear(6, 2), "b": nn.Linear(6, 3)})
        self.shared = nn.Tanh()

    def forward(self, x):
        x = self.shared(self.embed(x))
        for block in self.blocks:
            x = self.shared(block(x) + x)
        return torch.cat([self.heads["a"](x), self.heads["b"](x)], 1)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(self.layer(x))


class Dicts(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 2)

    def forward(self, batch, *, scale):
        y = self.inner(batch["x"])
        return {"logits": y * scale, "nested": (y.sum(), [y.mean()])}


class Data(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 2)

    def forward(self, x):
        y = self.inner(x)
        return Answer(logits=y, extra=y.detach())


class Checkpointed(nn.Module):
    def __init__(self, *, reentrant):
        super().__init__()
        self.block = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
        self.head = nn.Linear(4, 2)
        self.reentrant = reentrant

    def forward(self, x):
        x = x.detach().requires_grad_()
        return self.head(checkpoint(self.block, x, use_reentrant=self.reentrant))


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 5, batch_first=True)
        self.head = nn.Linear(5, 2)

    def forward(self, x):
        out, _ = self.lstm(x)
        return self.head(out[:, -1])


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x)[0]


CASES = {
    "nested": (Nested, lambda: ((torch.randn(3, 4),), {}), lambda out: out.sum()),
    "twice": (Twice, lambda: ((torch.randn(3, 4),), {}), lambda out: out.sum()),
    "dicts": (
        Dicts,
        lambda: (({"x": torch.randn(3, 4)},), {"scale": torch.tensor(2.0)}),
        lambda out: out["logits"].sum(),
    ),
    "dataclass": (Data, lambda: ((torch.randn(3, 4),), {}), lambda out: out.logits.sum()),
    "checkpoint": (
        lambda: Checkpointed(reentrant=False),
        lambda: ((torch.randn(3, 4),), {}),
        lambda out: out.pow(2).sum(),
    ),
    "reentrant": (lambda: Checkpointed(reentrant=True), lambda: ((torch.randn(3, 4),), {}), lambda out: out.sum()),
    "lstm": (Lstm, lambda: ((torch.randn(3, 6, 4),), {}), lambda out: out.sum()),
    "attention": (Attention, lambda: ((torch.randn(2, 3, 4),), {}), lambda out: out.pow(2).sum()),
    "encoder": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True), 2),
        lambda: ((torch.randn(2, 3, 4),), {}),
        lambda out: out.pow(2).sum(),
    ),
    "convolution": (
        lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)),
        lambda: ((torch.randn(3, 1, 4, 4),), {}),
        lambda out: out.pow(2).sum(),
    ),
}


def flat(value):
    """The tensors of a value, in order: the test's own way."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        return [t for item in value.values() for t in flat(item)]
    if isinstance(value, (tuple, list)):
        return [t for item in value for t in flat(item)]
    if isinstance(value, Answer):
        return [value.logits, value.extra]
    return []


def numbers(tensor):
    values = tensor.detach().double().reshape(-1).numpy()
    return [values.min(), values.max(), values.mean(), values.std()]


def by_hooks(model, args, kwargs, loss_of):
    """Name, class, inputs, outputs and the gradient of the first output of each call, in call order."""
    names = {module: name for name, module in model.named_modules()}
    calls, stack, backward = [], [], [False]

    def before(module, args, kwargs):
        if backward[0]:
            return
        parent = stack[-1] if stack else -1
        inputs = [(list(t.shape), numbers(t)) for t in flat([args, kwargs])]
        stack.append(len(calls))
        calls.append(
            {"name": names[module], "cls": type(module).__name__, "parent": parent, "in": inputs, "gradient": None}
        )

    def after(_module, _args, output):
        if backward[0]:
            return
        call = calls[stack.pop()]
        tensors = flat(output)
        call["out"] = [(list(t.shape), numbers(t)) for t in tensors]
        if tensors and tensors[0].grad_fn is not None:
            tensors[0].register_hook(lambda g: call.__setitem__("gradient", numbers(g)))

    for module in model.modules():
        module.register_forward_pre_hook(before, with_kwargs=True)
        module.register_forward_hook(after)
    loss = loss_of(model(*args, **kwargs))
    backward[0] = True
    loss.backward()
    return calls


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("name", CASES)
def test_every_call_is_as_hooks_see_it(name, watched):
    make, inputs, loss_of = CASES[name]
    torch.manual_seed(1)
    model = make()
    twin = copy.deepcopy(model)
    args, kwargs = inputs()

    def train():
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        loss_of(model(*args, **kwargs)).backward()
        optimizer.step()

    run = watched(train)
    expected = by_hooks(twin, args, kwargs, loss_of)
    layers = run.updates[0].look.layers
    assert [(c.path, c.cls, c.parent) for c in layers] == [(c["name"], c["cls"], c["parent"]) for c in expected]
    for seen, wanted in zip(layers, expected, strict=True):
        for summaries, tensors in ((seen.inputs, wanted["in"]), (seen.outputs, wanted["out"])):
            assert [s.shape for s in summaries] == [shape for shape, _ in tensors]
            for s, (_, values) in zip(summaries, tensors, strict=True):
                assert [s.low, s.high, s.mean, s.std] == pytest.approx(values, rel=1e-4, abs=1e-5)
        if wanted["gradient"] is None:
            assert seen.gradient is None
        else:
            g = seen.gradient
            assert [g.low, g.high, g.mean, g.std] == pytest.approx(wanted["gradient"], rel=1e-4, abs=1e-5)
    assert not [event for event in run.main.events if type(event).__name__ == "Defect"]


def test_names_parameters_modes_and_words(watched):
    def train():
        model = Nested()
        model.blocks[1].eval()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model(torch.randn(2, 4)).sum().backward()
        optimizer.step()

    layers = {layer.path: layer for layer in watched(train).updates[0].look.layers}
    assert layers["blocks.1.0"].parameters == ["blocks.1.0.weight", "blocks.1.0.bias"]
    assert layers["heads.a"].options == "in_features=6, out_features=2, bias=True"
    assert (layers["blocks.0"].training, layers["blocks.1"].training) == (True, False)
    assert layers[""].parameters == []
    assert layers[""].file == __file__


def test_keywords_and_keys_name_the_tensors(watched):
    def train():
        model = Dicts()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model({"x": torch.randn(3, 4)}, scale=torch.tensor(2.0))["logits"].sum().backward()
        optimizer.step()

    look = watched(train).updates[0].look
    assert [(s.name, s.shape) for s in look.batch] == [("x", [3, 4]), ("scale", [])]
    assert [(s.name, s.shape) for s in look.layers[0].outputs] == [("logits", [3, 2]), ("nested", []), ("nested", [])]


def test_model_outputs_of_transformers(watched):
    outputs = pytest.importorskip("transformers.modeling_outputs")

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(4, 2)

        def forward(self, x, labels):
            logits = self.inner(x)
            return outputs.SequenceClassifierOutput(loss=F.cross_entropy(logits, labels), logits=logits)

    def train():
        model = Model()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model(torch.randn(3, 4), labels=torch.tensor([0, 1, 1])).loss.backward()
        optimizer.step()

    look = watched(train).updates[0].look
    assert [(s.name, s.shape) for s in look.layers[0].outputs] == [("loss", []), ("logits", [3, 2])]
    assert look.losses[0].function == "cross_entropy"
    assert look.layers[0].gradient.mean == 1.0  # what came back to the loss itself


def test_frozen_parts_under_no_grad_are_seen_too(watched):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = nn.Sequential(OrderedDict(first=nn.Linear(4, 4)))
            self.head = nn.Linear(4, 1)

        def forward(self, x):
            with torch.no_grad():
                x = self.backbone(x)
            return self.head(x)

    def train():
        model = Model()
        optimizer = torch.optim.SGD(model.head.parameters(), lr=0.1)
        model(torch.randn(3, 4)).sum().backward()
        optimizer.step()

    layers = watched(train).updates[0].look.layers
    assert [layer.path for layer in layers] == ["", "backbone", "backbone.first", "head"]
    assert [layer.gradient is not None for layer in layers] == [True, False, False, True]
