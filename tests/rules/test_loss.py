"""The rules about losses: what they must find in other styles, and correct code that must stay silent."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from stepscope import rules
from stepscope.checking.engine import judge
from stepscope.observe.schedule import Plan
from stepscope.observe.watch import Watch

NAMES = (
    "double-softmax",
    "double-sigmoid",
    "raw-logits-in-nll",
    "broadcast-loss",
    "softmax-over-batch",
    "misplaced-class-dimension",
    "rectified-logits",
    "unmasked-padding",
    "unshifted-targets",
    "malformed-kl-divergence",
    "surprising-initial-loss",
    "constant-output",
)


@pytest.fixture
def verdict(tmp_path):
    """Watch a loop of updates as ``check`` does, and ask the rules of this group."""

    def ask(loop):
        torch.manual_seed(0)
        with Watch(tmp_path / "run", Plan(thorough=200)) as watched:
            loop()
        found = judge(watched.run, {name: rules.get(name) for name in NAMES})
        assert found.defects == {}
        assert not [event for event in watched.run.main.events if type(event).__name__ == "Defect"]
        return found

    return ask


def told(verdict):
    """The rules that found something, each with its evidence."""
    return [(finding.rule, finding.evidence) for finding in verdict.findings]


def train(model, loss_of, *, updates=8, rate=0.05, parameters=None):
    """Updates of ``model``, whose loss ``loss_of`` computes."""
    optimizer = torch.optim.SGD(list(parameters or model.parameters()), lr=rate)
    for _ in range(updates):
        loss = loss_of(model)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def net(outputs, *more, inputs=6):
    """A small network with ``more`` layers behind its head."""
    return nn.Sequential(nn.Linear(inputs, 16), nn.Tanh(), nn.Linear(16, outputs), *more)


def labelled(model, outputs=4, samples=16):
    """A batch through the model, with targets that can be learned."""
    inputs = torch.randn(samples, 6)
    return model(inputs), inputs[:, :outputs].argmax(1)


def column(model, samples=16):
    """A batch of one output each, ``(N, 1)``, with targets ``(N,)``."""
    inputs = torch.randn(samples, 6)
    return model(inputs), inputs[:, 0] - inputs[:, 1]


# Double softmax.


def softmax_behind_views(model):
    scores, targets = labelled(model)
    probabilities = scores.softmax(-1).view(4, 4, 4).permute(0, 2, 1).contiguous()
    return functional.cross_entropy(probabilities, targets.view(4, 4))


def softmax_then_log_softmax(model):
    scores, targets = labelled(model)
    return functional.nll_loss(functional.log_softmax(scores.softmax(1), dim=1), targets)


def policy_of_probabilities(model):
    scores, actions = labelled(model)
    policy = torch.distributions.Categorical(logits=scores.softmax(-1))
    return -(policy.log_prob(actions) * torch.randn(16)).mean()


def softmax_in_half_precision(model):
    scores, targets = labelled(model)
    return functional.cross_entropy(scores.softmax(1).bfloat16().float(), targets)


def clamped_softmax(model):
    scores, targets = labelled(model)
    return functional.cross_entropy(scores.softmax(1).clamp(min=1e-6), targets)


def softmax_as_its_own_target(model):
    scores, targets = labelled(model)
    return functional.cross_entropy(scores.softmax(1), functional.one_hot(targets, 4).float())


@pytest.mark.parametrize(
    "loss_of",
    [
        softmax_behind_views,
        softmax_then_log_softmax,
        policy_of_probabilities,
        softmax_in_half_precision,
        clamped_softmax,
        softmax_as_its_own_target,
    ],
)
def test_a_second_softmax_is_proved_through_whatever_lies_between(verdict, loss_of):
    assert told(verdict(lambda: train(net(4), loss_of))) == [("double-softmax", "proof")]


def normalised_by_hand(model):
    scores, targets = labelled(model)
    positive = functional.softplus(scores)
    return functional.cross_entropy(positive / positive.sum(1, keepdim=True), targets)


def test_rows_that_sum_to_one_without_a_softmax_are_strong(verdict):
    assert told(verdict(lambda: train(net(4), normalised_by_hand))) == [("double-softmax", "strong")]


def test_the_floor_of_the_loss_is_told(verdict):
    (finding,) = verdict(lambda: train(net(4), softmax_in_half_precision)).findings
    assert finding.facts["floor"] == pytest.approx(-math.log(math.e / (math.e + 3)))
    assert "cannot fall below 0.744" in finding.message


def log_softmax_before(model):
    scores, targets = labelled(model)
    return functional.cross_entropy(scores.log_softmax(1), targets)


def logarithm_of_softmax(model):
    scores, targets = labelled(model)
    return functional.nll_loss((scores.softmax(1) + 1e-9).log(), targets)


def soft_targets(model):
    scores, targets = labelled(model)
    smooth = functional.one_hot(targets, 4).float() * 0.9 + 0.025
    return functional.cross_entropy(scores, smooth)


def policy_of_scores(model):
    scores, actions = labelled(model)
    policy = torch.distributions.Categorical(logits=scores)
    return (
        -(policy.log_prob(actions) * torch.randn(16)).mean()
        + torch.distributions.Categorical(probs=scores.softmax(-1)).entropy().mean()
    )


def attention_then_head(model):
    scores, targets = labelled(model)
    weights = torch.softmax(scores, dim=1)
    return functional.cross_entropy(weights * scores, targets)


def entropy_bonus(model):
    scores, targets = labelled(model)
    probabilities = scores.softmax(1)
    entropy = -(probabilities * scores.log_softmax(1)).sum(1).mean()
    return functional.cross_entropy(scores, targets) - 0.01 * entropy


@pytest.mark.parametrize(
    "loss_of",
    [log_softmax_before, logarithm_of_softmax, soft_targets, policy_of_scores, attention_then_head, entropy_bonus],
)
def test_one_softmax_is_enough(verdict, loss_of):
    assert told(verdict(lambda: train(net(4), loss_of))) == []


def test_a_helper_that_trains_several_models_does_not_hide_one(verdict):
    def loops():
        train(net(4), classified)
        train(net(4, nn.Softmax(dim=1)), classified)

    assert told(verdict(loops)) == [("double-softmax", "proof")]


# Double sigmoid.


def sigmoid_of_sigmoid(model):
    scores, targets = column(model)
    return functional.binary_cross_entropy(scores.sigmoid().sigmoid().squeeze(1), (targets > 0).float())


def sigmoid_behind_an_index(model):
    scores, targets = column(model)
    return functional.binary_cross_entropy_with_logits(scores.sigmoid()[:, 0][:8], (targets > 0).float()[:8])


@pytest.mark.parametrize("loss_of", [sigmoid_of_sigmoid, sigmoid_behind_an_index])
def test_a_second_sigmoid_is_proved(verdict, loss_of):
    assert told(verdict(lambda: train(net(1), loss_of))) == [("double-sigmoid", "proof")]


def small_scores(model):
    scores, targets = column(model)
    return functional.binary_cross_entropy_with_logits(0.1 * scores.squeeze(1) + 0.5, (targets > 0).float())


def gated_scores(model):
    scores, targets = column(model)
    gated = scores.squeeze(1) * scores.squeeze(1).sigmoid()
    return functional.binary_cross_entropy_with_logits(gated, (targets > 0).float())


def relativistic(model):
    scores, targets = column(model)
    real, fake = scores[:8].sigmoid(), scores[8:].sigmoid()
    return functional.binary_cross_entropy_with_logits(4 * (real - fake), (targets[:8, None] > 0).float())


@pytest.mark.parametrize("loss_of", [small_scores, gated_scores, relativistic])
def test_scores_between_zero_and_one_are_no_sigmoid(verdict, loss_of):
    assert told(verdict(lambda: train(net(1), loss_of))) == []


# Negative log-likelihood.


def probabilities_in_nll(model):
    scores, targets = labelled(model)
    return functional.nll_loss(scores.softmax(1), targets)


def scores_in_nll(model):
    scores, targets = labelled(model)
    return nn.NLLLoss()(scores, targets)


def bent_scores_in_nll(model):
    scores, targets = labelled(model)
    return functional.nll_loss(functional.gelu(scores) + 0.5, targets)


@pytest.mark.parametrize(
    ("loss_of", "evidence"),
    [(probabilities_in_nll, "proof"), (scores_in_nll, "proof"), (bent_scores_in_nll, "strong")],
)
def test_what_is_no_log_probability_is_found(verdict, loss_of, evidence):
    assert told(verdict(lambda: train(net(4), loss_of))) == [("raw-logits-in-nll", evidence)]


def restricted_log_probabilities(model):
    scores, targets = labelled(model)
    return functional.nll_loss(scores.log_softmax(1)[:, :3], targets.clamp(max=2))


def tempered_log_probabilities(model):
    scores, targets = labelled(model)
    return functional.nll_loss(2.0 * scores.log_softmax(1), targets)


def one_against_the_rest(model):
    scores, targets = labelled(model)
    return functional.nll_loss(functional.logsigmoid(scores), targets)


def ensemble(model):
    scores, targets = labelled(model)
    both = torch.stack([scores.log_softmax(1), (2 * scores).log_softmax(1)])
    return functional.nll_loss(both.logsumexp(0) - math.log(2), targets)


@pytest.mark.parametrize(
    "loss_of", [restricted_log_probabilities, tempered_log_probabilities, one_against_the_rest, ensemble]
)
def test_other_log_probabilities_are_silent(verdict, loss_of):
    assert told(verdict(lambda: train(net(4), loss_of))) == []


# Broadcasting.


def squared_by_hand(model):
    predictions, targets = column(model)
    return (predictions - targets).pow(2).mean()


def squared_the_other_way(model):
    predictions, targets = column(model)
    return ((targets - predictions) ** 2).sum() / 16


def squeezed_against_a_column(model):
    predictions, targets = column(model)
    targets = targets.unsqueeze(1)
    return (predictions.squeeze(1) - targets).square().mean()


def weighted_by_advantages(model):
    predictions, targets = column(model)
    return -(predictions * targets).mean()


def gaussian_of_torch(model):
    predictions, targets = column(model)
    return functional.gaussian_nll_loss(predictions, targets, torch.ones_like(predictions))


def density_of_a_distribution(model):
    predictions, targets = column(model)
    return -torch.distributions.Normal(predictions, 1.0).log_prob(targets).mean()


def pinball(model):
    predictions, targets = column(model)
    error = targets - predictions
    return torch.maximum(0.9 * error, -0.1 * error).mean()


def pinball_by_masks(model):
    predictions, targets = column(model)
    error = targets - predictions
    return ((0.9 - (error < 0).float()) * error).mean()


def mean_squared(model):
    return functional.mse_loss(*column(model))


def smooth_of_torch(model):
    return nn.SmoothL1Loss()(*column(model))


def huber_of_torch(model):
    return nn.HuberLoss()(*column(model))


def factors(model):
    scores, targets = labelled(model)
    return functional.mse_loss((scores * scores.detach()).sum(1), targets.float().view(-1, 1))


def absolute_of_torch(model):
    predictions, targets = column(model)
    return functional.l1_loss(predictions.squeeze(1), targets.unsqueeze(1))


def poisson_of_torch(model):
    predictions, targets = column(model)
    return functional.poisson_nll_loss(predictions, targets.abs())


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize(
    "loss_of",
    [
        squared_by_hand,
        squared_the_other_way,
        squeezed_against_a_column,
        weighted_by_advantages,
        gaussian_of_torch,
        density_of_a_distribution,
        pinball,
        pinball_by_masks,
        mean_squared,
        smooth_of_torch,
        huber_of_torch,
        absolute_of_torch,
        poisson_of_torch,
    ],
)
def test_all_pairs_instead_of_each_with_its_own_are_proved(verdict, loss_of):
    assert told(verdict(lambda: train(net(1), loss_of))) == [("broadcast-loss", "proof")]


@pytest.mark.filterwarnings("ignore:Using a target size")
def test_targets_that_got_a_dimension_in_the_loop_are_no_pairs_on_purpose(verdict):
    assert told(verdict(lambda: train(net(4), factors))) == [("broadcast-loss", "proof")]


@pytest.mark.filterwarnings("ignore:Using a target size")
def test_the_floor_of_a_broadcast_loss_is_the_variance_of_its_targets(verdict):
    (finding,) = verdict(lambda: train(net(1), mean_squared)).findings
    torch.manual_seed(0)
    net(1)
    inputs = torch.randn(16, 6)
    assert finding.facts["floor"] == pytest.approx(float((inputs[:, 0] - inputs[:, 1]).var(correction=0)), rel=1e-5)
    assert "256 pairs instead of 16" in finding.message


@pytest.mark.filterwarnings("ignore:Using a target size")
def test_a_batch_of_one_hides_nothing(verdict):
    sizes = iter([16, 1] * 4)
    result = verdict(lambda: train(net(1), lambda model: functional.mse_loss(*column(model, next(sizes)))))
    assert told(result) == [("broadcast-loss", "proof")]


@pytest.mark.filterwarnings("ignore:Using a target size")
def test_targets_that_were_squared_before_are_strong(verdict):
    def bootstrapped(model):
        values, rewards = column(model)
        with torch.no_grad():
            wanted = rewards + 0.9 * values
        return functional.mse_loss(values, wanted)

    assert told(verdict(lambda: train(net(1), bootstrapped))) == [("broadcast-loss", "strong")]


def additive_under_a_mean(model):
    predictions, targets = column(model)
    return ((predictions + targets) * 0.5 - 1).mean() + predictions.pow(2).mean()


def pairs_of_a_ranking(model):
    predictions, targets = column(model)
    scores = predictions.squeeze(1)
    difference = scores.unsqueeze(1) - scores
    better = (targets[:, None] > targets).float()
    return (functional.softplus(-difference) * better).mean()


def pairs_by_hand(model):
    predictions, targets = column(model)
    return ((predictions - predictions.T) - (targets[:, None] - targets[None, :])).pow(2).mean()


def distances(model):
    scores, _ = labelled(model)
    other = scores.detach() + 0.1
    squares = scores.pow(2).sum(1, keepdim=True) + other.pow(2).sum(1)
    return (squares - 2 * scores @ other.T).clamp(min=0).mean()


def cosines(model):
    scores, _ = labelled(model)
    lengths = scores.norm(dim=1, keepdim=True) * scores.norm(dim=1)
    return functional.cross_entropy((scores @ scores.T) / lengths * 5, torch.arange(16))


def normalised_rows(model):
    scores, targets = labelled(model)
    return functional.cross_entropy(scores / scores.norm(dim=1, keepdim=True) - scores.mean(1, keepdim=True), targets)


def bins(model):
    predictions, _ = column(model)
    centres = torch.linspace(-1, 1, 16)
    return (-((predictions - centres) ** 2)).exp().mean(0).pow(2).sum()


def pairs_of_one_tensor(model):
    predictions, _ = column(model)
    return (predictions - predictions.squeeze(1)).pow(2).mean()


def weights_for_each(model):
    scores, targets = labelled(model)
    weights = torch.rand(16)
    return (functional.cross_entropy(scores, targets, reduction="none") * weights).mean()


@pytest.mark.parametrize(
    ("loss_of", "outputs"),
    [
        (additive_under_a_mean, 1),
        (pairs_of_a_ranking, 1),
        (pairs_by_hand, 1),
        (distances, 4),
        (cosines, 4),
        (normalised_rows, 4),
        (bins, 1),
        (pairs_of_one_tensor, 1),
        (weights_for_each, 4),
    ],
)
def test_pairs_that_are_meant_or_do_no_harm_are_silent(verdict, loss_of, outputs):
    assert told(verdict(lambda: train(net(outputs), loss_of))) == []


# The dimension of the softmax and of the classes.


def test_a_softmax_over_the_samples_of_a_functional_model_is_found(verdict):
    class Attending(nn.Module):
        def __init__(self):
            super().__init__()
            self.score, self.head = nn.Linear(6, 1), nn.Linear(6, 4)

        def forward(self, sequence):
            weights = functional.softmax(self.score(sequence), dim=0)
            return self.head((weights * sequence).sum(1))

    def loss_of(model):
        inputs = torch.randn(16, 5, 6)
        return functional.cross_entropy(model(inputs), inputs[:, 0, :4].argmax(1))

    assert told(verdict(lambda: train(Attending(), loss_of))) == [("softmax-over-batch", "strong")]


class Bag(nn.Module):
    """Attention over the instances of one bag."""

    def __init__(self):
        super().__init__()
        self.score, self.head = nn.Linear(6, 1), nn.Linear(6, 1)

    def forward(self, bag):
        weights = torch.softmax(self.score(bag), dim=0)
        return self.head((weights * bag).sum(0))


class SequenceFirst(nn.Module):
    """Attention over the positions of a batch whose sequences lie in the first dimension."""

    def __init__(self):
        super().__init__()
        self.score, self.head = nn.Linear(6, 1), nn.Linear(6, 4)

    def forward(self, sequence):
        weights = torch.softmax(self.score(sequence), dim=0)
        return self.head(sequence + (weights * sequence).sum(0))


def test_softmaxes_over_instances_positions_and_similarities_are_silent(verdict):
    def loops():
        train(Bag(), lambda bag: bag(torch.randn(7, 6)).pow(2).mean())
        train(SequenceFirst(), lambda model: model(torch.randn(9, 16, 6)).pow(2).mean())
        train(net(8), lambda model: -torch.softmax(model(torch.randn(8, 6)), 0).diag().log().mean())

    assert told(verdict(loops)) == []


class OneSequence(nn.Module):
    """Attention over the steps of one sequence, which goes in without a batch, and an output for each step."""

    def __init__(self):
        super().__init__()
        self.score, self.head = nn.Linear(6, 1), nn.Linear(6, 4)

    def forward(self, sequence):
        weights = torch.softmax(self.score(sequence), dim=0)
        return self.head(sequence + (weights * sequence).sum(0))


def test_a_softmax_over_the_steps_of_sequences_is_a_hint_at_most(verdict):
    lengths = iter([5, 9, 7, 8, 6, 5, 9, 7])

    def loss_of(model):
        inputs = torch.randn(next(lengths), 6)
        return functional.cross_entropy(model(inputs), inputs[:, :4].argmax(1))

    assert told(verdict(lambda: train(OneSequence(), loss_of))) == [("softmax-over-batch", "hint")]


def over_positions(model):
    inputs = torch.randn(16, 5, 6)
    return model(inputs), inputs[..., :5].argmax(-1)


def untransposed(model):
    return functional.cross_entropy(*over_positions(model))


def viewed(model):
    scores, targets = over_positions(model)
    return functional.cross_entropy(scores.view(16, 5, 5), targets, label_smoothing=0.1)


def log_probabilities_untransposed(model):
    scores, targets = over_positions(model)
    return functional.nll_loss(scores.log_softmax(-1), targets)


@pytest.mark.parametrize("loss_of", [untransposed, viewed, log_probabilities_untransposed])
def test_classes_in_the_last_dimension_are_hinted_at(verdict, loss_of):
    assert ("misplaced-class-dimension", "hint") in told(verdict(lambda: train(net(5), loss_of)))


def transposed(model):
    scores, targets = over_positions(model)
    return functional.cross_entropy(scores.transpose(1, 2), targets)


def flattened(model):
    scores, targets = over_positions(model)
    return functional.cross_entropy(scores.flatten(0, 1), targets.flatten())


@pytest.mark.parametrize("loss_of", [transposed, flattened])
def test_classes_where_the_loss_takes_them_are_silent(verdict, loss_of):
    assert told(verdict(lambda: train(net(5), loss_of))) == []


# Rectified scores.


def rectified_binary(model):
    scores, targets = column(model)
    return functional.binary_cross_entropy_with_logits(scores.relu().squeeze(1), (targets > 0).float())


def test_rectified_scores_of_a_binary_model_are_strong(verdict):
    result = verdict(lambda: train(net(1), rectified_binary))
    assert told(result) == [("rectified-logits", "strong")]
    assert "a target of 0 costs 0.693 at least" in result.findings[0].message


def pooled_after_relu(model):
    scores, targets = labelled(model)
    return functional.cross_entropy(scores.relu().view(16, 4, 1).mean(2), targets)


def scaled_similarity(model):
    scores, targets = labelled(model)
    return functional.cross_entropy(8 * scores.relu() - 1, targets)


def leaky(model):
    scores, targets = labelled(model)
    return functional.cross_entropy(functional.leaky_relu(scores), targets)


@pytest.mark.parametrize("loss_of", [pooled_after_relu, scaled_similarity, leaky])
def test_scores_after_more_than_a_relu_are_silent(verdict, loss_of):
    assert told(verdict(lambda: train(net(4), loss_of))) == []


# Padding and shifts.


class Tokens(nn.Module):
    """A recurrent model of tokens."""

    def __init__(self, vocabulary=10, width=16, padding=None, **options):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width, padding_idx=padding)
        self.recurrent = nn.GRU(width, width, batch_first=True, **options)
        self.head = nn.Linear(width * (2 if options else 1), vocabulary)

    def forward(self, tokens):
        return self.head(self.recurrent(self.embed(tokens))[0])


def padded(samples=16, length=11):
    tokens = torch.randint(1, 10, (samples, length))
    tokens[torch.arange(length) >= torch.randint(4, length + 1, (samples, 1))] = 0
    return tokens


def next_token_with_padding(model, **options):
    tokens = padded()
    scores = model(tokens)[:, :-1]
    return functional.cross_entropy(scores.reshape(-1, 10), tokens[:, 1:].reshape(-1), **options)


@pytest.mark.parametrize("padding", [0, None])
def test_padding_that_counts_is_hinted_at(verdict, padding):
    result = verdict(lambda: train(Tokens(padding=padding), next_token_with_padding))
    assert told(result) == [("unmasked-padding", "hint")]
    assert ("padding_idx" in result.findings[0].message) == (padding == 0)


def test_the_share_of_padding_is_told(verdict):
    def loss_of(model):
        tokens = torch.tensor([[1, 2, 3, 0], [3, 4, 0, 0]])
        return functional.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten())

    found = verdict(lambda: train(Tokens(padding=0), loss_of, updates=4)).findings
    assert [finding.facts["share"] for finding in found if finding.rule == "unmasked-padding"] == [3 / 8]


def weighted(model):
    weight = torch.ones(10)
    weight[0] = 0
    return next_token_with_padding(model, weight=weight)


def masked_by_hand(model):
    tokens = padded()
    losses = functional.cross_entropy(model(tokens).transpose(1, 2)[:, :, :-1], tokens[:, 1:], reduction="none")
    real = (tokens[:, 1:] != 0).float()
    return (losses * real).sum() / real.sum()


def ignored(model):
    return next_token_with_padding(model, ignore_index=0)


def blanks(model):
    tokens = torch.randint(0, 3, (16, 11)) * torch.randint(0, 2, (16, 11))
    return functional.cross_entropy(model(tokens[:, :-1]).transpose(1, 2), tokens[:, 1:])


@pytest.mark.parametrize("loss_of", [weighted, masked_by_hand, ignored, blanks])
def test_padding_that_does_not_count_and_frequent_tokens_are_silent(verdict, loss_of):
    assert told(verdict(lambda: train(Tokens(), loss_of))) == []


def copied(model):
    tokens = torch.randint(10, (16, 11))
    return functional.cross_entropy(model(tokens).transpose(1, 2), tokens)


def test_copied_targets_of_a_one_way_model_are_strong_once_the_loss_fell(verdict):
    loop = Tokens()
    result = verdict(lambda: train(loop, copied, updates=60, rate=2.0))
    assert told(result) == [("unshifted-targets", "strong")]


def test_an_evaluation_before_the_first_update_does_not_hide_what_is_copied(verdict):
    """Its tokens are no inputs of the round that comes next."""

    def loop():
        model = Tokens()
        with torch.no_grad():
            for _ in range(20):
                model(torch.randint(10, (16, 11)))
        train(model, copied, updates=60, rate=2.0)

    assert told(verdict(loop)) == [("unshifted-targets", "strong")]


def test_copied_targets_are_a_hint_where_copying_may_be_meant(verdict):
    assert told(verdict(lambda: train(Tokens(bidirectional=True), copied, updates=60, rate=2.0))) == [
        ("unshifted-targets", "hint")
    ]


class Autoencoder(nn.Module):
    """A sequence through one state, and back, with the right token of before as a help."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(11, 16), nn.Linear(16, 11)
        self.encode, self.decode = nn.GRU(16, 16, batch_first=True), nn.GRU(16, 16, batch_first=True)

    def forward(self, tokens):
        _, state = self.encode(self.embed(tokens))
        before = functional.pad(tokens[:, :-1], (1, 0), value=10)
        return self.head(self.decode(self.embed(before), state)[0])


class Forced(nn.Module):
    """Tokens out of a state, one by one; the targets go in for the sake of teacher forcing."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(11, 16), nn.Linear(16, 11)
        self.encode, self.decode = nn.GRU(16, 16, batch_first=True), nn.GRUCell(16, 16)

    def forward(self, tokens, targets):
        state = self.encode(self.embed(tokens))[1][0]
        scores = []
        for position in range(targets.shape[1]):
            before = targets[:, position - 1] if position else torch.full((len(targets),), 10)
            state = self.decode(self.embed(before), state)
            scores.append(self.head(state))
        return torch.stack(scores, 1)


def reversed_tokens(model):
    tokens = torch.randint(10, (16, 5))
    return functional.cross_entropy(model(tokens, tokens.flip(1)).flatten(0, 1), tokens.flip(1).flatten())


def masked(model):
    tokens = torch.randint(1, 10, (16, 11))
    hidden = torch.rand(16, 11) < 0.3
    targets = torch.where(hidden, tokens, -100)
    return functional.cross_entropy(model(torch.where(hidden, 0, tokens)).transpose(1, 2), targets)


def test_autoencoders_and_masked_tokens_are_silent(verdict):
    def loops():
        train(Autoencoder(), copied)
        train(Forced(), reversed_tokens)
        train(Tokens(bidirectional=True), masked)

    assert told(verdict(loops)) == []


# KL divergence.


def teacher_of(scores):
    return (3 * scores.detach() + torch.randn_like(scores)).double().float()


def divergence(given, target, **options):
    def loss_of(model):
        scores, _ = labelled(model)
        return functional.kl_div(given(scores), target(teacher_of(scores)), reduction="batchmean", **options)

    return loss_of


def softmax(scores):
    return scores.softmax(1)


def log_softmax(scores):
    return scores.log_softmax(1)


def same(scores):
    return scores


@pytest.mark.parametrize(
    ("loss_of", "what"),
    [
        (divergence(softmax, softmax), "input of probabilities"),
        (divergence(same, softmax), "input of scores"),
        (divergence(log_softmax, log_softmax), "target of log-probabilities"),
        (divergence(log_softmax, same), "target of scores"),
        (divergence(log_softmax, softmax, log_target=True), "target of probabilities"),
    ],
)
def test_what_is_wrong_with_a_divergence_is_told(verdict, loss_of, what):
    result = verdict(lambda: train(net(4), loss_of))
    assert told(result) == [("malformed-kl-divergence", "proof")]
    assert result.findings[0].facts["what"] == what


def over_the_last_dimension(model):
    scores = model(torch.randn(4, 5, 6))
    return functional.kl_div(scores.log_softmax(-1), teacher_of(scores).softmax(-1), reduction="batchmean")


@pytest.mark.parametrize(
    "loss_of",
    [
        divergence(log_softmax, softmax),
        divergence(log_softmax, log_softmax, log_target=True),
        over_the_last_dimension,
    ],
)
def test_divergences_of_distributions_are_silent(verdict, loss_of):
    assert told(verdict(lambda: train(net(4), loss_of))) == []


# The first loss, and outputs that are all the same.


def classified(model):
    return functional.cross_entropy(*labelled(model))


def test_a_first_loss_far_above_guessing_is_a_hint(verdict):
    model = net(4)
    nn.init.normal_(model[2].weight, std=4.0)
    result = verdict(lambda: train(model, classified))
    assert told(result) == [("surprising-initial-loss", "hint")]
    assert result.findings[0].facts["guess"] == pytest.approx(math.log(4))


def test_a_first_loss_of_weights_that_were_loaded_is_not_judged(verdict):
    model = net(4)
    nn.init.normal_(model[2].weight, std=4.0)

    def loop():
        model.load_state_dict(net(4).state_dict() | {"2.weight": model[2].weight.detach().clone()})
        train(model, classified)

    result = verdict(loop)
    assert told(result) == []
    assert "loaded" in result.unjudged["surprising-initial-loss"]


def test_a_net_whose_units_are_dead_gives_a_constant_output(verdict):
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 4))
    nn.init.constant_(model[0].bias, -100.0)
    assert told(verdict(lambda: train(model, classified))) == [("constant-output", "strong")]


def similarities(model):
    scores = model(torch.randn(16, 6))
    pairs = (scores @ scores.T).masked_fill(torch.eye(16, dtype=torch.bool), -torch.inf)
    return functional.cross_entropy(pairs, torch.arange(16).roll(1))


def one_class(model):
    scores, targets = column(model)
    return functional.cross_entropy(scores, (targets > 0).float().unsqueeze(1))


def softmax_of_one_by_hand(model):
    probabilities, targets = column(model)
    right = torch.where(targets.unsqueeze(1) > 0, probabilities, 1 - probabilities)
    return -(right + 1e-6).log().mean()


def test_a_single_class_and_a_softmax_of_one_number_are_found(verdict):
    assert told(verdict(lambda: train(net(1), one_class))) == [("constant-output", "strong")]


def test_a_softmax_of_one_number_is_found_with_a_loss_by_hand(verdict):
    model = net(1, nn.Softmax(dim=1))
    assert told(verdict(lambda: train(model, softmax_of_one_by_hand))) == [("constant-output", "strong")]


def test_masked_similarities_are_no_constant(verdict):
    assert told(verdict(lambda: train(net(4), similarities))) == []


def test_heads_that_start_at_zero_and_baselines_are_silent(verdict):
    model = net(4)
    nn.init.zeros_(model[2].weight)
    baseline = nn.ParameterList([torch.zeros(4)])

    def loops():
        train(model, classified)
        train(baseline, lambda one: functional.cross_entropy(one[0].expand(16, 4), torch.randint(4, (16,))))

    assert told(verdict(loops)) == []


def test_equal_inputs_give_equal_outputs(verdict):
    def loss_of(model):
        inputs = torch.randn(1, 6).expand(16, 6)
        return functional.mse_loss(model(inputs).squeeze(1), torch.randn(16))

    assert told(verdict(lambda: train(net(1), loss_of))) == []


def test_rules_about_losses_have_nothing_to_judge_without_one(verdict):
    result = verdict(lambda: train(net(3), lambda model: model(torch.randn(4, 6)).pow(2).mean()))
    assert set(NAMES) - set(result.unjudged) == {"broadcast-loss"}
