"""The rules about data: correct code that looks odd, other ways to the same bug, and what is said when in doubt."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset, random_split

import stepscope
from stepscope import rules
from stepscope.checking.engine import judge
from stepscope.observe.schedule import Plan
from stepscope.observe.watch import Watch

NAMES = [
    "unshuffled-training-data",
    "repeated-batch",
    "identical-worker-randomness",
    "same-order-every-epoch",
    "evaluated-on-training-data",
    "train-eval-overlap",
    "mismatched-preprocessing",
    "random-evaluation-data",
    "mutated-samples",
    "unscaled-inputs",
]


@pytest.fixture
def verdict(record):
    """Watch a function as ``check`` does, and ask the rules about data."""

    def ask(function, *arguments):
        torch.manual_seed(0)
        with Watch(record, Plan(thorough=200, looks=2)):
            function(*arguments)
        run = stepscope.load(record)
        found = judge(run, {name: rules.get(name) for name in NAMES})
        assert found.defects == {}
        assert [event for event in run.main.events if type(event).__name__ == "Defect"] == []
        return found

    return ask


def told(verdict):
    return [(finding.rule, finding.evidence) for finding in verdict.findings]


def data(count=96, width=4, classes=4):
    """Inputs of several classes, mixed."""
    targets = torch.randint(0, classes, (count,))
    return torch.randn(count, width) + F.one_hot(targets, width), targets


class Items(Dataset):
    """Samples through a function."""

    def __init__(self, inputs, targets, change=None, **held):
        self.inputs, self.targets, self.change = inputs, targets, change
        vars(self).update(held)

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, index):
        sample = self.inputs[index]
        return (sample if self.change is None else self.change(self, sample)), self.targets[index]


class Training:
    """A model with its optimizer."""

    def __init__(self, model=None, lr=0.01):
        self.model = model or nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=lr)

    def step(self, inputs, targets):
        self.optimizer.zero_grad()
        F.cross_entropy(self.model(inputs), targets).backward()
        self.optimizer.step()

    def epoch(self, loader):
        self.model.train()
        for inputs, targets in loader:
            self.step(inputs, targets)

    @torch.no_grad()
    def judge(self, loader):
        self.model.eval()
        return sum((self.model(inputs).argmax(1) == targets).sum().item() for inputs, targets in loader)


# Unshuffled training data.


def in_blocks(count=96, classes=4):
    targets = torch.arange(classes).repeat_interleave(count // classes)
    return torch.randn(count, 4) + F.one_hot(targets, 4), targets


def test_data_that_is_mixed_on_disk_need_not_be_shuffled(verdict):
    def run():
        training, loader = Training(), DataLoader(TensorDataset(*data()), batch_size=16)
        for _ in range(3):
            training.epoch(loader)

    assert told(verdict(run)) == []


def test_a_subset_that_was_drawn_at_random_is_shuffled_once(verdict):
    def run():
        part, _ = random_split(TensorDataset(*in_blocks()), [80, 16])
        training, loader = Training(), DataLoader(part, batch_size=16)
        for _ in range(2):
            training.epoch(loader)

    assert told(verdict(run)) == []


def test_the_message_counts_the_labels_of_a_batch(verdict):
    def run():
        training, loader = Training(), DataLoader(TensorDataset(*in_blocks(96)), batch_size=24)
        training.epoch(loader)

    (finding,) = verdict(run).findings
    assert finding.rule == "unshuffled-training-data"
    assert "24 samples in a row hold 1 of the 4 labels" in finding.message
    assert finding.facts["sorted"] == 1.0


def test_sorted_data_in_slices_is_found_without_a_loader(verdict):
    def run():
        inputs, targets = in_blocks(160)
        training = Training()
        for _ in range(2):
            for start in range(0, 160, 20):
                training.step(inputs[start : start + 20], targets[start : start + 20])

    assert told(verdict(run)) == [("unshuffled-training-data", "strong")]


def test_batches_of_one_class_that_are_drawn_are_no_sorted_data(verdict):
    def run():
        inputs, targets = in_blocks(160)
        training = Training()
        for _ in range(30):
            kind = int(torch.randint(0, 4, ()))
            chosen = torch.randint(0, 40, (16,)) + 40 * kind
            training.step(inputs[chosen], targets[chosen])

    assert told(verdict(run)) == []


def test_batches_that_hold_every_class_in_order_are_no_sorted_data(verdict):
    def run():
        inputs, targets = in_blocks(96)
        order = torch.arange(96).reshape(4, 6, 4).transpose(0, 1).reshape(-1)  # six batches, four of each class
        training, loader = Training(), DataLoader(TensorDataset(inputs[order], targets[order]), batch_size=16)
        for _ in range(2):
            training.epoch(loader)

    assert told(verdict(run)) == []


def test_a_stream_that_is_sorted_is_a_hint(verdict):
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(zip(*in_blocks(), strict=True))

    def run():
        Training().epoch(DataLoader(Stream(), batch_size=12))

    assert told(verdict(run)) == [("unshuffled-training-data", "hint")]


def test_regression_on_a_series_in_time_order_is_silent(verdict):
    def run():
        series = torch.sin(torch.arange(200) / 7) + 0.1 * torch.randn(200)
        windows = series.unfold(0, 5, 1)
        model = nn.Linear(4, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        loader = DataLoader(TensorDataset(windows[:, :4], windows[:, 4:]), batch_size=16)
        for _ in range(2):
            for inputs, targets in loader:
                optimizer.zero_grad()
                F.mse_loss(model(inputs), targets).backward()
                optimizer.step()

    assert told(verdict(run)) == []


# The same order.


def test_a_distributed_sampler_without_set_epoch(verdict):
    def run(tell):
        dataset = TensorDataset(*data())
        sampler = torch.utils.data.DistributedSampler(dataset, num_replicas=2, rank=0)
        training, loader = Training(), DataLoader(dataset, batch_size=8, sampler=sampler)
        for epoch in range(3):
            if tell:
                sampler.set_epoch(epoch)
            training.epoch(loader)

    (finding,) = verdict(run, False).findings
    assert (finding.rule, finding.evidence) == ("same-order-every-epoch", "proof")
    assert "set_epoch" in finding.remedy
    assert finding.facts["samples"] == 48


def test_a_distributed_sampler_that_is_told_the_epoch(verdict):
    def run():
        dataset = TensorDataset(*data())
        sampler = torch.utils.data.DistributedSampler(dataset, num_replicas=2, rank=0)
        training, loader = Training(), DataLoader(dataset, batch_size=8, sampler=sampler)
        for epoch in range(3):
            sampler.set_epoch(epoch)
            training.epoch(loader)

    assert told(verdict(run)) == []


def test_the_same_order_for_another_model_is_a_fair_comparison(verdict):
    def run():
        dataset = TensorDataset(*data())
        for _ in range(3):
            torch.manual_seed(1)
            Training().epoch(DataLoader(dataset, batch_size=8, shuffle=True))

    assert told(verdict(run)) == []


def test_a_sampler_of_the_script_may_repeat_its_order(verdict):
    def run():
        dataset = TensorDataset(*data())
        order = torch.randperm(96).tolist()
        training, loader = Training(), DataLoader(dataset, batch_size=8, sampler=order)
        for _ in range(2):
            training.epoch(loader)

    assert told(verdict(run)) == [("same-order-every-epoch", "hint")]


# Repeated batches.


def test_full_batch_training_is_no_repetition(verdict):
    def run(prepare):
        inputs, targets = data()
        training = Training()
        for _ in range(20):
            training.step(prepare(inputs), targets)

    assert told(verdict(run, lambda inputs: inputs)) == []


@pytest.mark.parametrize("prepare", [torch.clone, lambda x: torch.tensor(x.tolist()), lambda x: (x - 1) / 2])
def test_full_batch_training_on_copies_is_no_repetition(verdict, prepare):
    def run():
        inputs, targets = data()
        training = Training()
        for _ in range(20):
            training.step(prepare(inputs), targets)

    assert told(verdict(run)) == []


def test_all_data_in_a_dictionary_of_an_object_is_no_repetition(verdict):
    class Trainer(Training):
        def __init__(self):
            super().__init__()
            self.data = dict(zip("xy", data(), strict=True))

        def run(self):
            for _ in range(20):
                self.step(self.data["x"].float().clone(), self.data["y"].clone())

    assert told(verdict(lambda: Trainer().run())) == []


def test_a_loader_made_anew_in_every_epoch_is_told_once(verdict):
    def run():
        dataset, training = TensorDataset(*in_blocks()), Training()
        for _ in range(3):
            training.epoch(DataLoader(dataset, batch_size=12, num_workers=0))

    assert told(verdict(run)) == [("unshuffled-training-data", "strong")]


def test_one_batch_in_a_dictionary_that_is_kept_is_no_repetition(verdict):
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, features, labels):
            return F.cross_entropy(self.layer(features[:, 0]), labels)

    def run():
        inputs, targets = data(16)
        everything = {"features": inputs.unsqueeze(1), "labels": targets}
        model = Named()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for _ in range(20):
            optimizer.zero_grad()
            model(**everything).backward()
            optimizer.step()

    assert told(verdict(run)) == []


def test_all_data_in_one_batch_of_a_loader_is_no_repetition(verdict):
    def run():
        training, loader = Training(), DataLoader(TensorDataset(*data()), batch_size=96)
        for _ in range(20):
            training.epoch(loader)

    assert told(verdict(run)) == []


def test_one_batch_by_heart_and_then_the_real_training(verdict):
    def run():
        loader = DataLoader(TensorDataset(*data()), batch_size=8, shuffle=True)
        inputs, targets = next(iter(loader))
        sanity = Training()
        for _ in range(20):
            sanity.step(inputs, targets)
        Training().epoch(loader)

    assert told(verdict(run)) == []


def test_one_batch_by_heart_alone_is_a_hint(verdict):
    def run():
        inputs, targets = next(iter(DataLoader(TensorDataset(*data()), batch_size=8, shuffle=True)))
        training = Training()
        for _ in range(20):
            training.step(inputs, targets)

    assert told(verdict(run)) == [("repeated-batch", "hint")]


def test_the_loop_variable_that_is_not_used(verdict):
    def run():
        loader = DataLoader(TensorDataset(*data()), batch_size=8, shuffle=True)
        training = Training()
        inputs, targets = next(iter(loader))
        for _ in range(2):
            for _batch in loader:
                training.step(inputs, targets)

    (finding,) = verdict(run).findings
    assert (finding.rule, finding.evidence) == ("repeated-batch", "strong")
    assert "all of 24 updates" in finding.message
    assert "8 samples of one batch of the 12" in finding.message


def test_the_first_batch_of_a_new_pass_each_time(verdict):
    def run():
        loader = DataLoader(TensorDataset(*data()), batch_size=8)
        training = Training()
        for _ in range(20):
            training.step(*next(iter(loader)))

    assert told(verdict(run)) == [("repeated-batch", "strong")]


def test_the_same_slice_each_time(verdict):
    def run():
        inputs, targets = data()
        training = Training()
        for _ in range(20):
            training.step(inputs[:8], targets[:8])

    assert told(verdict(run)) == [("repeated-batch", "strong")]


def test_batches_drawn_by_a_generator_that_is_seeded_each_time(verdict):
    def draw(inputs, targets):
        rng = np.random.default_rng(0)
        chosen = rng.integers(0, len(inputs), 8)
        return inputs[chosen], targets[chosen]

    def run():
        inputs, targets = data()
        training = Training()
        for _ in range(20):
            training.step(*draw(inputs, targets))

    assert told(verdict(run)) == [("repeated-batch", "strong")]


def test_weights_of_as_many_rows_as_a_batch_has_samples_are_no_data(verdict):
    def run():
        inputs, targets = data()
        training = Training(nn.Sequential(nn.Linear(4, 16), nn.Linear(16, 4)))
        training.optimizer = torch.optim.Adam(training.model.parameters(), lr=1e-3)
        for _ in range(20):
            chosen = torch.randint(0, 96, (16,), generator=torch.Generator().manual_seed(0))
            training.step(inputs[chosen], targets[chosen])

    assert told(verdict(run)) == [("repeated-batch", "strong")]


def test_all_points_of_an_equation_put_together_anew_are_no_repetition(verdict):
    """As in physics-informed networks: the coordinates are kept, and want gradients themselves."""

    def train():
        x, t = (torch.tensor(np.random.default_rng(n).normal(size=(80, 1)), requires_grad=True).float() for n in (0, 1))
        model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
        optimizer = torch.optim.Adam(model.parameters())
        for _ in range(30):
            u = model(torch.cat([x, t], dim=1))
            slope = torch.autograd.grad(u.sum(), x, create_graph=True)[0]
            u = u[:50] + model(torch.cat([x, t], dim=1)[:50])  # another set of points
            slope = slope[:50]
            loss = (slope - u).square().mean()
            optimizer.zero_grad()
            loss.backward(retain_graph=True)
            optimizer.step()

    assert told(verdict(train)) == []


def test_a_grid_that_is_made_anew_is_no_repetition(verdict):
    def run():
        model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for _ in range(20):
            points = torch.cartesian_prod(torch.linspace(-1, 1, 8), torch.linspace(-1, 1, 8))
            optimizer.zero_grad()
            (model(points) - points.prod(1, keepdim=True)).square().mean().backward()
            optimizer.step()

    assert told(verdict(run)) == []


# Evaluation on training data.


def loaders(training_part, held_out, **options):
    return DataLoader(training_part, batch_size=16, shuffle=True), DataLoader(held_out, batch_size=24, **options)


def alternate(train_loader, *others, epochs=2):
    training = Training()
    for _ in range(epochs):
        training.epoch(train_loader)
        for other in others:
            training.judge(other)


def test_the_accuracy_on_the_training_set_beside_a_held_out_one(verdict):
    def run():
        dataset = TensorDataset(*data())
        train_loader, held_out = loaders(Subset(dataset, range(64)), Subset(dataset, range(64, 96)))
        alternate(train_loader, train_loader, held_out)
        alternate(train_loader, DataLoader(Subset(dataset, range(64)), batch_size=64), held_out)

    assert told(verdict(run)) == []


def test_another_loader_that_waits_for_its_turn(verdict):
    def run():
        dataset = TensorDataset(*data())
        train_set, held_out = random_split(dataset, [64, 32])
        train_loader, waiting = loaders(train_set, held_out)
        training = Training()
        training.epoch(train_loader)
        training.judge(DataLoader(train_set, batch_size=32))
        assert waiting

    assert told(verdict(run)) == []


def test_the_wrong_loader_is_evaluated_each_time(verdict):
    def run():
        train_set, held_out = random_split(TensorDataset(*data()), [64, 32])
        train_loader, waiting = loaders(train_set, held_out)
        alternate(train_loader, train_loader, epochs=3)
        assert waiting

    assert told(verdict(run)) == [("evaluated-on-training-data", "strong")]


def test_a_report_on_the_only_data_there_is(verdict):
    def run():
        train_loader = DataLoader(TensorDataset(*data()), batch_size=16, shuffle=True)
        alternate(train_loader, train_loader, epochs=3)

    assert told(verdict(run)) == []


def test_a_copy_of_the_training_set_is_the_training_set(verdict):
    def run():
        inputs, targets = data(128)
        alternate(*loaders(TensorDataset(inputs, targets), TensorDataset(inputs.clone(), targets.clone())))

    assert told(verdict(run)) == [("evaluated-on-training-data", "proof")]


def test_augmented_training_data_is_recognised_by_its_indices(verdict):
    def run():
        dataset = TensorDataset(*data())
        noisy = Items([x for x, _ in dataset], [y for _, y in dataset], lambda _, x: x + torch.randn(4))
        alternate(*loaders(noisy, noisy))

    rules_told = told(verdict(run))
    assert ("evaluated-on-training-data", "proof") in rules_told
    assert ("random-evaluation-data", "strong") in rules_told


def test_each_fold_judges_what_another_one_was_trained_on(verdict):
    def run():
        dataset = TensorDataset(*data())
        for fold in range(3):
            held_out = list(range(fold, 96, 3))
            rest = [index for index in range(96) if index % 3 != fold]
            alternate(*loaders(Subset(dataset, rest), Subset(dataset, held_out)), epochs=1)

    assert told(verdict(run)) == []


# Overlap.


def test_a_few_samples_in_both_sets(verdict):
    def run():
        inputs, targets = data(96)
        alternate(*loaders(TensorDataset(inputs[:64], targets[:64]), TensorDataset(inputs[56:], targets[56:])))

    (finding,) = verdict(run).findings
    assert (finding.rule, finding.evidence) == ("train-eval-overlap", "proof")
    assert "20 % of the evaluated samples (8 of 40)" in finding.message


def part_way(train_set, *others):
    """In the middle of the first epoch, a batch of each set is judged."""
    training = Training()
    for number, (inputs, targets) in enumerate(DataLoader(train_set, batch_size=8, shuffle=True)):
        training.step(inputs, targets)
        if number % 3 == 2:
            for other in (train_set, *others):
                training.judge([next(iter(DataLoader(other, batch_size=32)))])
            training.model.train()


def test_a_batch_of_the_training_set_beside_one_of_the_test_set(verdict):
    def run():
        train_set, held_out = random_split(TensorDataset(*data()), [64, 32])
        part_way(train_set, held_out)

    found = verdict(run)
    assert told(found) == []
    assert not {"train-eval-overlap", "evaluated-on-training-data"} & found.unjudged.keys()


def test_a_training_set_that_was_not_trained_on_whole_yet_is_the_training_set_all_the_same(verdict):
    def run():
        part_way(TensorDataset(*data(64)))

    assert told(verdict(run)) == [("evaluated-on-training-data", "proof")]


def test_inputs_of_few_bits_coincide_by_chance(verdict):
    def run():
        def bits(count):
            inputs = torch.randint(0, 2, (count, 4)).float()
            return TensorDataset(inputs, inputs.sum(1).long().clamp(max=3))

        alternate(*loaders(bits(128), bits(48)))

    assert told(verdict(run)) == []


def test_ratings_of_the_same_users_are_other_samples(verdict):
    class Ratings(nn.Module):
        def __init__(self):
            super().__init__()
            self.users, self.items = nn.Embedding(40, 4), nn.Embedding(400, 4)

        def forward(self, user, item):
            return (self.users(user) * self.items(item)).sum(1)

    def run():
        users, items = torch.arange(40).repeat(4), torch.randperm(400)[:160]
        ratings = torch.randn(160)
        dataset = TensorDataset(users, items, ratings)
        train_loader, held_out = loaders(
            Subset(dataset, range(40)), TensorDataset(users[40:], items[40:], ratings[40:])
        )
        model = Ratings()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for _ in range(2):
            for user, item, rating in train_loader:
                optimizer.zero_grad()
                F.mse_loss(model(user, item), rating).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                for user, item, _ in held_out:
                    model(user, item)
            model.train()

    assert told(verdict(run)) == []


def test_embeddings_of_all_data_are_no_evaluation(verdict):
    def run():
        inputs, targets = data(96)
        training = Training()
        for start in range(0, 64, 8):
            training.step(inputs[start : start + 8], targets[start : start + 8])
        training.model.eval()
        with torch.no_grad():
            training.model(inputs)

    assert told(verdict(run)) == []


def test_overlap_without_a_loader(verdict):
    def run():
        inputs, targets = data(96)
        training = Training()
        for start in range(0, 64, 8):
            training.step(inputs[start : start + 8], targets[start : start + 8])
        training.model.eval()
        with torch.no_grad():
            training.model(inputs[48:])

    assert told(verdict(run)) == [("train-eval-overlap", "proof")]


# Preprocessing.


def test_noise_on_training_inputs_is_no_other_preprocessing(verdict):
    def run():
        inputs, targets = data(96)
        noisy = Items(inputs[:64], targets[:64], lambda _, x: x + 0.3 * torch.randn(4))
        alternate(*loaders(noisy, TensorDataset(inputs[64:], targets[64:])))

    assert told(verdict(run)) == []


def test_pixels_scaled_in_two_ways(verdict):
    def run():
        pixels, targets = torch.randint(0, 256, (96, 4)).float(), torch.randint(0, 4, (96,))
        trained = TensorDataset((pixels[:64] - 127) / 73, targets[:64])
        alternate(*loaders(trained, Items(pixels[64:], targets[64:], lambda _, x: x / 255)))

    (finding,) = verdict(run).findings
    assert (finding.rule, finding.evidence) == ("mismatched-preprocessing", "hint")
    assert finding.facts["mean"] == pytest.approx(0.5, abs=0.05)
    assert finding.facts["trained_std"] == pytest.approx(1.0, abs=0.1)


def test_a_look_far_beyond_the_training_inputs_beside_the_evaluation(verdict):
    def run():
        inputs, targets = data(96)
        training = Training()
        train_loader, held_out = loaders(
            TensorDataset(inputs[:64], targets[:64]), TensorDataset(inputs[64:], targets[64:])
        )
        training.epoch(train_loader)
        training.judge(held_out)
        with torch.no_grad():
            training.model(20 * torch.randn(200, 4))

    assert told(verdict(run)) == []


# Random evaluation data.


def test_views_that_are_averaged_may_be_random(verdict):
    def run():
        inputs, targets = data(96)
        jittered = Items(inputs[64:], targets[64:], lambda _, x: x + 0.1 * torch.randn(4))
        train_loader, views = loaders(TensorDataset(inputs[:64], targets[:64]), jittered)
        training = Training()
        training.epoch(train_loader)
        for _ in range(3):
            training.judge(views)

    assert told(verdict(run)) == []


def test_evaluation_noise_that_is_the_same_each_time(verdict):
    def run():
        inputs, targets = data(96)
        jittered = Items(inputs[64:], targets[64:], lambda _, x: x + 0.1 * torch.randn(4))
        train_loader, held_out = loaders(TensorDataset(inputs[:64], targets[:64]), jittered)
        training = Training()
        for _ in range(3):
            training.epoch(train_loader)
            state = torch.get_rng_state()
            torch.manual_seed(5)
            training.judge(held_out)
            torch.set_rng_state(state)

    assert told(verdict(run)) == []


def test_a_shuffled_evaluation_loader_holds_the_same_samples(verdict):
    def run():
        inputs, targets = data(96)
        held_out = TensorDataset(inputs[64:], targets[64:])
        alternate(*loaders(TensorDataset(inputs[:64], targets[:64]), held_out, shuffle=True), epochs=3)

    assert told(verdict(run)) == []


def test_tokens_masked_anew_are_a_hint(verdict):
    def run():
        tokens = torch.randint(1, 50, (96, 6))

        def masked(_, sample):
            return sample.masked_fill(torch.rand(6) < 0.3, 0)

        model = nn.Sequential(nn.Embedding(50, 4), nn.Flatten(), nn.Linear(24, 4))
        training = Training(model)
        train_loader, held_out = loaders(
            Items(tokens[:64], torch.randint(0, 4, (64,)), masked),
            Items(tokens[64:], torch.randint(0, 4, (32,)), masked),
        )
        for _ in range(3):
            training.epoch(train_loader)
            training.judge(held_out)

    assert told(verdict(run)) == [("random-evaluation-data", "hint")]


# Mutated samples.


def in_place(_, sample):
    sample += 0.1 * torch.randn(4)
    return sample


@pytest.mark.parametrize("store", [torch.clone, lambda x: list(x.clone())])
def test_samples_changed_in_place_wherever_they_are_kept(verdict, store):
    def run():
        inputs, targets = data(64)
        training, loader = Training(), DataLoader(Items(store(inputs), targets, in_place), batch_size=16, shuffle=True)
        for _ in range(2):
            training.epoch(loader)

    assert told(verdict(run)) == [("mutated-samples", "proof")]


def test_two_sets_of_one_class_that_change_their_samples_are_one_cause(verdict):
    def run():
        train_set, held_out = (Items(*data(64), in_place) for _ in range(2))
        training, loader = Training(), DataLoader(train_set, batch_size=16, shuffle=True)
        for _ in range(3):
            training.epoch(loader)
            training.judge(DataLoader(held_out, batch_size=16))

    assert [rule for rule, _ in told(verdict(run))].count("mutated-samples") == 1


def test_a_cache_is_filled_once(verdict):
    class Cached(Items):
        def __getitem__(self, index):
            if not self.known[index]:
                self.cache[index] = self.inputs[index] * 2
                self.known[index] = True
            return self.cache[index].clone(), self.targets[index]

    def run():
        inputs, targets = data(64)
        dataset = Cached(inputs, targets, cache=torch.zeros(64, 4), known=[False] * 64)
        training, loader = Training(), DataLoader(dataset, batch_size=16, shuffle=True)
        for _ in range(3):
            training.epoch(loader)

    assert told(verdict(run)) == []


def test_counts_of_how_often_a_sample_was_read_are_no_samples(verdict):
    class Counted(Items):
        def __getitem__(self, index):
            self.reads[index] += 1
            return super().__getitem__(index)

    def run():
        training = Training()
        loader = DataLoader(Counted(*data(64), reads=torch.zeros(64)), batch_size=16, shuffle=True)
        for _ in range(3):
            training.epoch(loader)

    assert told(verdict(run)) == []


# Workers.


def draws(dataset, sample):
    return sample + float(dataset.generator.normalvariate(0, 0.1))


def with_workers(generator, workers, **options):
    def run():
        inputs, targets = data(48)
        dataset = Items(inputs, targets, draws if generator is not None else None, generator=generator)
        Training().epoch(DataLoader(dataset, batch_size=8, shuffle=True, num_workers=workers, **options))

    return run


def test_the_generator_of_one_worker_starts_anew_in_every_epoch(verdict):
    (finding,) = verdict(with_workers(random.Random(0), 1)).findings  # noqa: S311
    assert (finding.rule, finding.evidence) == ("identical-worker-randomness", "strong")
    assert finding.facts["generators"] == ["dataset.generator"]


def test_a_generator_that_nobody_draws_from(verdict):
    def run():
        dataset = Items(*data(48), generator=np.random.default_rng(0))
        Training().epoch(DataLoader(dataset, batch_size=8, shuffle=True, num_workers=2))

    assert told(verdict(run)) == []


def constant(_worker):
    np.random.seed(0)  # noqa: NPY002


def test_workers_that_are_all_seeded_alike(verdict):
    def run():
        dataset = Items(*data(48), lambda _, x: x + np.float32(np.random.normal()))  # noqa: NPY002
        loader = DataLoader(dataset, batch_size=8, shuffle=True, num_workers=2, worker_init_fn=constant)
        Training().epoch(loader)

    (finding,) = verdict(run).findings
    assert (finding.rule, finding.evidence) == ("identical-worker-randomness", "proof")
    assert finding.facts["generators"] == ["numpy"]


# Unscaled inputs.


def fit(model, inputs, lr=1e-5):
    training = Training(model, lr)
    for start in range(0, 64, 16):
        training.step(inputs[start : start + 16], torch.randint(0, 4, (16,)))


class Scaling(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(x / 255)


@pytest.mark.parametrize(
    "model",
    [
        Scaling,
        lambda: nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 4)),
        lambda: nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 4)),
    ],
)
def test_a_model_that_scales_its_input_may_be_given_pixels(verdict, model):
    assert told(verdict(lambda: fit(model(), torch.randint(0, 256, (64, 4)).float()))) == []


def test_a_norm_behind_the_first_layer_makes_it_a_hint(verdict):
    def run():
        fit(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 4)), torch.randint(0, 256, (64, 4)).float())

    assert told(verdict(run)) == [("unscaled-inputs", "hint")]


def test_the_size_of_raw_inputs_is_told(verdict):
    (finding,) = verdict(lambda: fit(nn.Linear(4, 4), torch.full((64, 4), 30.0) * torch.randn(64, 4).sign())).findings
    assert (finding.rule, finding.evidence) == ("unscaled-inputs", "strong")
    assert finding.facts["size"] == pytest.approx(30.0)
    assert "from -30 to 30" in finding.message


# Nothing to judge.


def test_what_cannot_be_judged_is_said(verdict):
    unjudged = verdict(lambda: Training().epoch(DataLoader(TensorDataset(*data()), batch_size=16))).unjudged
    assert unjudged.keys() == {
        "identical-worker-randomness",
        "same-order-every-epoch",
        "evaluated-on-training-data",
        "train-eval-overlap",
        "mismatched-preprocessing",
        "random-evaluation-data",
        "mutated-samples",
    }
