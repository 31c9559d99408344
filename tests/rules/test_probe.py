"""The probe: it changes nothing, leaves odd models alone, and tells mixing from what only looks like it."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, normalize
from torch.utils.data import DataLoader, TensorDataset

from stepscope import rules
from stepscope.checking.engine import judge
from stepscope.observe.schedule import Plan
from stepscope.observe.thorough.isolated import Isolated, Unfit
from stepscope.observe.watch import Watch
from stepscope.record import events as ev

UPDATES = 5


class Counting(nn.Module):
    """A model that remembers things in Python, and draws random numbers of every kind."""

    calls = 0

    def __init__(self):
        super().__init__()
        self.seen, self.count, self.table = [], 0, {"sum": 0.0}
        self.kept = torch.zeros(3)
        self.layer = nn.Linear(6, 3)
        self.register_buffer("mean", torch.zeros(6))

    def forward(self, x):
        self.count += 1
        type(self).calls += 1
        self.seen.append(len(x))
        self.table["sum"] += float(x.sum())
        self.mean.mul_(0.9).add_(0.1 * x.mean(0))
        self.kept += 1
        noise = torch.randn(3) * random.random() * np.random.rand()  # noqa: NPY002, S311
        return self.layer(x - self.mean) + 0.01 * noise


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.out = nn.LSTM(3, 8, 2, dropout=0.3, batch_first=True), nn.Linear(8, 3)

    def forward(self, x):
        return self.out(self.rnn(x.view(len(x), 2, 3))[0][:, -1])


MODELS = {
    "dropout": lambda: nn.Sequential(nn.Linear(6, 16), nn.Dropout(0.4), nn.ReLU(), nn.Linear(16, 3)),
    "batch norm": lambda: nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3)),
    "recurrent": Recurrent,
    "counting": Counting,
}


def training(make):
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    Counting.calls = 0
    model = make()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(UPDATES):
        x = torch.randn(8, 6)
        loss = cross_entropy(model(x), torch.randint(3, (8,)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    streams = (torch.rand(4).tolist(), random.random(), np.random.rand())  # noqa: NPY002, S311
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    remembered = [getattr(model, name, None) for name in ("seen", "count", "table", "calls")]
    modes = [(module.training, sorted(module.__dict__)) for module in model.modules()]
    return state, streams, remembered, modes, getattr(model, "kept", torch.zeros(1))


@pytest.mark.parametrize("name", MODELS)
def test_training_goes_on_as_if_nothing_had_been_run_again(name, record):
    bare = training(MODELS[name])
    with Watch(record, Plan(thorough=200)) as watched:
        seen = training(MODELS[name])
    assert [event.along for event in watched.run.main.of(ev.Probed)] == ["samples"]  # it did run
    assert all(torch.equal(bare[0][key], seen[0][key]) for key in bare[0])
    assert bare[1:4] == seen[1:4]
    assert torch.equal(bare[4], seen[4])
    assert watched.run.main.update_count == UPDATES
    assert sum(not call.criterion for call in watched.run.main.of(ev.ModelCalled)) == UPDATES
    assert not list(watched.run.main.of(ev.Defect))


HISTORY: list[int] = []


class Printing(nn.Module):
    def forward(self, x):
        print("forward")
        return x


class Collecting(nn.Module):
    def forward(self, x):
        HISTORY.append(len(x))
        return x


class Helped(nn.Module):
    def forward(self, x):
        return self.help(x)

    def help(self, x):
        global HISTORY  # noqa: PLW0603
        HISTORY = [len(x)]
        return x


class Drawing(nn.Module):
    def __init__(self):
        super().__init__()
        self.generator = torch.Generator()

    def forward(self, x):
        return x + torch.randn(3, generator=self.generator)


class Hooked(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(3, 3))
        self[0].register_forward_hook(lambda *_: None)


@pytest.mark.parametrize("kind", [Printing, Collecting, Helped, Drawing, Hooked])
def test_models_whose_forward_reaches_further_are_left_alone(kind):
    with pytest.raises(Unfit):
        Isolated(kind())


def test_a_model_that_fails_the_second_time_leaves_nothing_behind(record):
    class Once(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.left = nn.Linear(6, 3), 2

        def forward(self, x):
            self.left -= 1
            if self.left < 0:
                raise RuntimeError("no more")
            self.new = x.mean()
            return self.layer(x)

    with Watch(record, Plan(thorough=200)) as watched:
        model = Once()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            model(torch.randn(4, 6)).sum().backward()
            optimizer.step()
    assert model.left == 0
    assert watched.run.main.update_count == 2
    assert not list(watched.run.main.of(ev.Defect))


@pytest.fixture
def findings(record):
    """What one rule says of a model that was trained for a few updates on batches that ``draw`` makes."""

    def ask(name, model, draw, *, loss=None):
        with Watch(record, Plan(thorough=200)) as watched:
            optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
            for inputs, targets in draw():
                output = model(*inputs) if isinstance(inputs, tuple) else model(inputs)
                optimizer.zero_grad()
                (loss or loss_of)(output, targets).backward()
                optimizer.step()
        verdict = judge(watched.run, {name: rules.get(name)})
        assert verdict.defects == {}
        return [finding.evidence for finding in verdict.findings], verdict

    return ask


def loss_of(output, targets):
    return cross_entropy(output.flatten(0, -2), targets.flatten())


def batches(*shape, classes=3, targets=None, count=3):
    return lambda: [(torch.randn(*shape), torch.randint(classes, targets or shape[:1])) for _ in range(count)]


def loaded(*shape, targets=None, size=8):
    data = TensorDataset(torch.randn(24, *shape), torch.randint(3, (24, *(targets or ()))))
    return lambda: iter(DataLoader(data, batch_size=size))


class Tagger(nn.Module):
    def __init__(self, *, batch_first, bidirectional=False):
        super().__init__()
        self.rnn = nn.GRU(4, 8, batch_first=batch_first, bidirectional=bidirectional)
        self.out = nn.Linear(16 if bidirectional else 8, 3)

    def forward(self, x):
        return self.out(self.rnn(x)[0])


def test_time_first_is_no_mixing(findings):
    assert findings("mixed-samples", Tagger(batch_first=False), batches(6, 8, 4, targets=(6, 8)))[0] == []


def test_time_first_that_is_no_time_is_mixing(findings):
    """The loader says that eight samples come first."""
    assert findings("mixed-samples", Tagger(batch_first=False), loaded(6, 4, targets=(6,)))[0] == ["strong"]


def test_one_sequence_without_a_batch_is_at_most_a_hint(findings):
    model = nn.Sequential(nn.Linear(4, 4), Tagger(batch_first=True))
    assert findings("mixed-samples", model, batches(9, 4))[0] in ([], ["hint"])


def test_words_of_one_sentence_may_see_each_other(findings):
    model = nn.Sequential(nn.Embedding(12, 4), Tagger(batch_first=True))
    draw = lambda: [(torch.randint(12, (9,)), torch.randint(3, (9,))) for _ in range(3)]  # noqa: E731
    assert findings("mixed-samples", model, draw)[0] == []


class Reshaping(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.out = nn.Linear(4, 8), nn.Linear(48, 3)

    def forward(self, x):
        h = self.layer(x).transpose(0, 1)
        return self.out(h.reshape(x.shape[0], -1))


def test_a_reshape_where_a_transpose_was_meant(findings):
    evidence, verdict = findings("mixed-samples", Reshaping(), batches(8, 6, 4))
    assert evidence == ["strong"]
    assert verdict.findings[0].facts["operation"] == "reshape"


class Statistics(nn.Module):
    """Batch norm by hand."""

    def __init__(self):
        super().__init__()
        self.layer, self.out = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x):
        h = self.layer(x)
        return self.out((h - h.mean(0)) / (h.std(0) + 1e-5))


def test_statistics_of_the_batch_are_at_most_a_hint(findings):
    assert findings("mixed-samples", Statistics(), batches(8, 6))[0] in ([], ["hint"])
    assert findings("mixed-samples", nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8)), batches(8, 6))[0] == []


class Pairs(nn.Module):
    """As in CLIP: every sample against every other."""

    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Linear(6, 8), nn.Linear(6, 8)

    def forward(self, x, y):
        return normalize(self.one(x)) @ normalize(self.other(y)).t()


def test_a_matrix_of_pairs_is_no_mixing(findings):
    draw = lambda: [((torch.randn(8, 6), torch.randn(8, 6)), torch.arange(8)) for _ in range(3)]  # noqa: E731
    evidence, verdict = findings("mixed-samples", Pairs(), draw)
    assert evidence == []
    assert "mixed-samples" not in verdict.unjudged


class Graph(nn.Module):
    def __init__(self, adjacency):
        super().__init__()
        self.layer, self.adjacency = nn.Linear(6, 3), adjacency

    def forward(self, x):
        return self.adjacency @ self.layer(x)


def test_the_nodes_of_one_graph_may_see_each_other(findings):
    x, y = torch.randn(8, 6), torch.randint(3, (8,))
    assert findings("mixed-samples", Graph(torch.rand(8, 8)), lambda: [(x, y)] * 3)[0] == []


class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.weigh, self.out = nn.Linear(6, 1), nn.Linear(6, 3)

    def forward(self, x):
        return self.out((self.weigh(x).softmax(0) * x).sum(0, keepdim=True))


def test_pooling_over_a_bag_is_no_mixing(findings):
    assert findings("mixed-samples", Bag(), batches(8, 6, targets=(1,)))[0] == []


def test_one_sequence_at_a_time_is_no_batch(findings):
    """The first dimension is time, and the loss has a single target; the model is called by its part."""
    rnn, out = nn.RNN(4, 8), nn.Linear(8, 3)
    score = lambda output, targets: cross_entropy(out(output[1][0]), targets)  # noqa: E731
    draw = lambda: [(torch.randn(5, 1, 4), torch.randint(3, (1,))) for _ in range(3)]  # noqa: E731
    evidence, verdict = findings("mixed-samples", rnn, draw, loss=score)
    assert evidence == []
    assert verdict.unjudged == {}  # it was run again, and did mix
    text = lambda: [(torch.randn(5, 1, 4), torch.randint(3, (5,))) for _ in range(3)]  # noqa: E731
    assert findings("mixed-samples", Tagger(batch_first=False), text)[0] == []


@pytest.mark.parametrize("shape", [(6,), (3, 8, 8)])
def test_a_single_sample_without_a_batch_is_no_mixing(findings, shape):
    model = nn.Linear(6, 6) if len(shape) == 1 else nn.Conv2d(3, 3, 3, padding=1)
    draw = lambda: [(x := torch.randn(shape), x) for _ in range(3)]  # noqa: E731
    assert "strong" not in findings("mixed-samples", model, draw, loss=nn.functional.mse_loss)[0]


def test_without_targets_of_as_many_samples_nothing_is_sure(findings):
    by_hand = lambda output, _: output.square().mean()  # noqa: E731
    assert findings("mixed-samples", Reshaping(), batches(8, 6, 4), loss=by_hand)[0] == ["hint"]


class Ahead(nn.Module):
    """Predicts the next token with an attention, along one dimension or the other."""

    def __init__(self, *, batch_first):
        super().__init__()
        self.embed, self.out = nn.Embedding(5, 8), nn.Linear(8, 5)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=batch_first)

    def forward(self, tokens):
        size = tokens.shape[1 if self.layer.self_attn.batch_first else 0]
        mask = nn.Transformer.generate_square_subsequent_mask(size)
        return self.out(self.layer(self.embed(tokens), mask))


@pytest.mark.parametrize(("batch_first", "expected"), [(True, ["strong"]), (False, [])])
def test_the_next_token_tells_which_dimension_is_time(findings, batch_first, expected):
    def draw():
        for _ in range(3):
            text = torch.randint(5, (11, 8))  # time first
            yield text[:-1], text[1:]

    evidence, verdict = findings("mixed-samples", Ahead(batch_first=batch_first), draw)
    assert evidence == expected
    assert verdict.unjudged == {}
    if expected:
        assert verdict.findings[0].facts["compared"] == 7


def test_backward_inside_a_closure_does_not_keep_the_probe_away(record):
    """No event comes between backward and the end of the step: our own mode is still to be left."""
    with Watch(record, Plan(thorough=200)) as watched:
        model = nn.Linear(6, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for x, y in batches(8, 6)():

            def closure(x=x, y=y):
                optimizer.zero_grad()
                loss = cross_entropy(model(x), y)
                loss.backward()
                return loss

            optimizer.step(closure)
    assert [event.along for event in watched.run.main.of(ev.Probed)] == ["samples"]


# The future


class Language(nn.Module):
    def __init__(self, *, bidirectional):
        super().__init__()
        self.embed, self.tagger = nn.Embedding(3, 4), Tagger(batch_first=True, bidirectional=bidirectional)

    def forward(self, tokens):
        return self.tagger(self.embed(tokens))


def texts():
    for _ in range(3):
        text = torch.randint(3, (8, 11))
        yield text[:, :-1], text[:, 1:]


@pytest.mark.parametrize(("bidirectional", "expected"), [(True, ["strong"]), (False, [])])
def test_both_directions_are_one_too_many_for_the_next_word(findings, bidirectional, expected):
    evidence, verdict = findings("leaking-future", Language(bidirectional=bidirectional), texts)
    assert evidence == expected
    assert verdict.unjudged == {}


def test_tagging_the_words_of_a_text_may_look_at_all_of_it(findings):
    draw = lambda: [(torch.randint(3, (8, 10)), torch.randint(3, (8, 10))) for _ in range(3)]  # noqa: E731
    evidence, verdict = findings("leaking-future", Language(bidirectional=True), draw)
    assert evidence == []
    assert "predicts the next position" in verdict.unjudged["leaking-future"]


def test_a_series_of_numbers_and_a_loss_inside_the_model(findings):
    class Series(nn.Module):
        def __init__(self):
            super().__init__()
            self.mix = nn.Conv1d(2, 2, 3, padding=1)

        def forward(self, x, wanted):
            return nn.functional.mse_loss(self.mix(x.transpose(1, 2)).transpose(1, 2), wanted)

    def draw():
        for _ in range(3):
            walk = torch.randn(8, 13, 2).cumsum(1)
            yield (walk[:, :-1], walk[:, 1:]), None

    evidence, verdict = findings("leaking-future", Series(), draw, loss=lambda output, _: output)
    assert evidence == ["strong"]
    assert verdict.findings[0].facts["changed"] == 1  # a kernel of three sees one step ahead


def test_a_layer_that_is_not_registered_is_left_alone():
    class Hiding(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = [nn.BatchNorm1d(3)]

        def forward(self, x):
            return self.hidden[0](x)

    with pytest.raises(Unfit):
        Isolated(Hiding())


class Heads(nn.Module):
    """An attention written out, without a mask."""

    def __init__(self):
        super().__init__()
        self.embed, self.all, self.out = nn.Embedding(5, 8), nn.Linear(8, 24), nn.Linear(8, 5)

    def forward(self, tokens):
        b, t = tokens.shape
        q, k, v = (x.view(b, t, 2, 4).transpose(1, 2) for x in self.all(self.embed(tokens)).split(8, 2))
        weights = (q @ k.transpose(-2, -1)).softmax(-1)
        mixed = weights @ v  # here
        return self.out(mixed.transpose(1, 2).reshape(b, t, 8))


def test_the_line_of_a_leak_is_where_the_positions_meet(findings):
    evidence, verdict = findings("leaking-future", Heads(), texts)
    assert evidence == ["strong"]
    found = verdict.findings[0]
    assert Path(found.path).read_text().splitlines()[found.line - 1].endswith("# here")


def test_scores_that_are_only_laid_out_wrongly_for_the_loss_leak_nothing(findings):
    """The model itself does not see ahead; that the loss takes classes for positions is another matter."""

    class Viewed(Language):
        def forward(self, tokens, targets):
            scores = super().forward(tokens)
            return scores, cross_entropy(scores.view(len(scores), 3, -1), targets)

    def draw():
        for tokens, targets in texts():
            yield (tokens, targets), None

    loss = lambda output, _: output[1]  # noqa: E731
    evidence, verdict = findings("leaking-future", Viewed(bidirectional=False), draw, loss=loss)
    assert evidence == []
    assert verdict.unjudged == {}
