"""What a thorough watch tells of losses: by hand-computed numbers, on odd tensors, and without a trace."""

from __future__ import annotations

import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional

from stepscope.observe.schedule import Plan
from stepscope.observe.watch import Watch


@pytest.fixture
def watched(tmp_path):
    """Run a loop under a thorough watch; return the first rank's record."""

    def run(loop, thorough=200):
        with Watch(tmp_path / "run", Plan(thorough=thorough)) as watch:
            loop()
        main = watch.run.main
        assert not [event for event in main.events if type(event).__name__ == "Defect"]
        return main

    return run


def step(model, loss, rate=0.1):
    """One update without an optimizer's help but its own."""
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def first_loss(main):
    """The first loss of the first look."""
    return main.looks[0].look.losses[0]


class Tokens(nn.Module):
    """Token ids to scores, with an attention over them."""

    def __init__(self, *, causal):
        super().__init__()
        self.embed, self.head = nn.Embedding(7, 8, padding_idx=0), nn.Linear(8, 7)
        self.causal = causal

    def forward(self, tokens):
        hidden = self.embed(tokens)
        hidden = functional.scaled_dot_product_attention(hidden, hidden, hidden, is_causal=self.causal)
        return self.head(hidden)


def test_sums_of_rows_and_the_chain_behind_a_prediction(watched):
    model = nn.Linear(3, 2)
    inputs, targets = torch.randn(4, 3), torch.tensor([0, 1, 1, 0])

    def loop():
        step(model, functional.cross_entropy(model(inputs).softmax(1).view(4, 2), targets))

    scores = model(inputs).detach()
    facts = first_loss(watched(loop)).facts
    (rows,) = facts.rows
    exponentials = scores.softmax(1).exp().sum(1)
    assert (rows.dim, rows.size) == (1, 2)
    assert (rows.low, rows.high) == (pytest.approx(1), pytest.approx(1))
    assert rows.exp_low == pytest.approx(float(exponentials.min()), rel=1e-5)
    assert rows.exp_high == pytest.approx(float(exponentials.max()), rel=1e-5)
    assert [(made.operation, made.shape, made.dim) for made in facts.behind] == [
        ("Softmax", [4, 2], 1),
        ("Addmm", [4, 2], None),
    ]
    assert facts.behind[0].file == __file__
    assert facts.prediction_grad
    assert not facts.target_grad
    probabilities = scores.softmax(1)
    ranges = probabilities.max(0).values - probabilities.min(0).values
    assert facts.varies == pytest.approx(float(ranges.max()), rel=1e-5)


def test_padding_and_copied_targets(watched):
    tokens = torch.tensor([[3, 4, 5, 0], [2, 2, 0, 0]])
    model = Tokens(causal=True)

    def loop():
        step(model, functional.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten(), ignore_index=5))

    main = watched(loop)
    facts = first_loss(main).facts
    padding = facts.padding
    assert (padding.id, padding.share, padding.inside) == (0, 3 / 8, 0)
    assert (padding.shortest, padding.longest) == (1, 2)
    assert (padding.low, padding.high, padding.counted, padding.declared) == (0, 0, 1, True)
    assert facts.copied == 1
    # Of the 5 targets that have a later token and count: (3, 4), (4, 5), (2, 2), (2, 0), (0, 0).
    assert facts.shifted == pytest.approx(2 / 5)


@pytest.mark.parametrize("causal", [True, False])
def test_whether_an_attention_looks_ahead(watched, causal):
    model = Tokens(causal=causal)
    tokens = torch.randint(1, 7, (2, 5))

    def loop():
        step(model, functional.cross_entropy(model(tokens).transpose(1, 2), tokens))

    softmaxes = watched(loop).looks[0].look.softmaxes
    assert [one.causal for one in softmaxes if one.operation != "LogSoftmax"] == [causal]


def test_shapes_before_they_were_expanded(watched):
    model = nn.Linear(3, 1)

    def loop():
        with pytest.warns(UserWarning, match="target size"):
            loss = functional.mse_loss(model(torch.randn(4, 3)), torch.randn(4))
        step(model, loss)

    main = watched(loop)
    facts = first_loss(main).facts
    assert (facts.given, facts.target_given) == ([4, 1], [1, 4])
    (pairs,) = main.looks[0].look.pairs
    assert (pairs.column, pairs.row, pairs.paired, pairs.bent) == ([4, 1], [4], False, True)


def test_facts_are_told_by_thorough_watches_only(watched):
    model = nn.Linear(3, 2)

    def loop():
        step(model, functional.cross_entropy(model(torch.randn(4, 3)).softmax(1), torch.tensor([0, 1, 1, 0])))

    main = watched(loop, thorough=0)
    assert first_loss(main).facts is None
    assert main.looks[0].look.softmaxes == []


class Marked(torch.Tensor):
    """A tensor of a class of its own."""


ODD_TARGETS = (
    torch.randn(4, 2).as_subclass(Marked),
    torch.randn(2, 4).T,
    torch.randn(1, 1).expand(4, 2),
    torch.full((4, 2), float("nan")),
)


@pytest.mark.parametrize("target", ODD_TARGETS)
def test_odd_targets_are_no_trouble(watched, target):
    model = nn.Linear(3, 2)
    main = watched(lambda: step(model, functional.mse_loss(model(torch.randn(4, 3)), target)))
    assert first_loss(main).facts is not None


def test_losses_inside_vmap_are_no_trouble(watched):
    model = nn.Linear(3, 2)

    def loop():
        def each(row, target):
            return functional.cross_entropy(model(row), target)

        step(model, torch.vmap(each)(torch.randn(4, 3), torch.tensor([0, 1, 1, 0])).mean())

    assert watched(loop).update_count == 1


def test_inputs_are_let_go_with_their_round(watched):
    model = Tokens(causal=True)
    dead = []

    def loop():
        for _ in range(3):
            tokens = torch.randint(1, 7, (2, 5))
            step(model, functional.cross_entropy(model(tokens).transpose(1, 2), tokens))
            seen = weakref.ref(tokens)
            del tokens
            dead.append(seen() is None)

    watched(loop)
    assert dead == [True] * 3


def test_thorough_watching_leaves_the_weights_as_they_are(watched):
    def weights():
        torch.manual_seed(0)
        model = Tokens(causal=True)
        for _ in range(6):
            tokens = torch.randint(1, 7, (4, 5))
            scores = model(tokens)
            pairs = scores[:, 0, :1] - scores[:, 0, 1]
            step(model, functional.cross_entropy(scores.transpose(1, 2), tokens) + pairs.pow(2).mean())
        return [parameter.detach().clone() for parameter in model.parameters()], torch.rand(3)

    bare, random = weights()
    seen = []
    watched(lambda: seen.append(weights()))
    (observed, same_random) = seen[0]
    assert all(torch.equal(a, b) for a, b in zip(bare, observed, strict=True))
    assert torch.equal(random, same_random)
