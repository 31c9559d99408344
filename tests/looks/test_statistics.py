"""The statistics of tensors, against float64 NumPy and numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from stepscope.observe import gauge
from stepscope.observe.gauge import Reading


def oracle(tensor):
    if tensor.is_complex():
        tensor = tensor.abs()
    values = tensor.detach().to(torch.float64).numpy()
    return values.min(), values.max(), values.mean(), values.std(), (values == 0).mean()


def told(tensor):
    s = Reading(tensor).summary()
    return float(s.low), float(s.high), float(s.mean), float(s.std), float(s.zeros)


RANDOM = torch.Generator().manual_seed(3)
DENSE = {
    "float64": torch.randn(5, 7, generator=RANDOM, dtype=torch.float64),
    "float32": torch.randn(5, 7, generator=RANDOM).clamp(min=0),
    "float16": torch.randn(5, 7, generator=RANDOM).half(),
    "bfloat16": torch.randn(5, 7, generator=RANDOM).bfloat16(),
    "int64": torch.arange(-6, 9).reshape(3, 5),
    "uint8": torch.tensor([[0, 255], [3, 4]], dtype=torch.uint8),
    "int8": torch.tensor([-128, 127, 0, 0], dtype=torch.int8),
    "bool": torch.tensor([True, False, False, True, True]),
    "complex64": torch.tensor([3 + 4j, 0j, -5j]),
    "scalar": torch.tensor(2.5),
    "one": torch.tensor([[7.0]]),
    "transposed": torch.randn(4, 9, generator=RANDOM).t(),
    "strided": torch.randn(12, 9, generator=RANDOM)[::3, ::2],
    "expanded": torch.tensor([1.0, -2.0]).expand(6, 2),
    "channels_last": torch.randn(2, 3, 4, 5, generator=RANDOM).to(memory_format=torch.channels_last),
    "far from zero": torch.randn(1000, generator=RANDOM) + 1e4,
    "large": torch.tensor([3e38, 3e38, 3e38, -1e38]),
    "parameter": torch.nn.Parameter(torch.randn(3, 3, generator=RANDOM)),
}


@pytest.mark.parametrize("name", DENSE)
def test_numbers_are_numpys(name):
    tensor = DENSE[name]
    assert told(tensor) == pytest.approx(oracle(tensor), rel=2e-5, abs=1e-6)
    summary = Reading(tensor).summary()
    assert summary.shape == list(tensor.shape)
    assert summary.dtype == str(tensor.dtype).removeprefix("torch.")
    assert summary.non_finite == 0
    assert summary.sampled == 0


def test_by_hand():
    summary = Reading(torch.tensor([[0.0, 2.0], [4.0, 0.0]]), "x").summary()
    assert (summary.low, summary.high, summary.mean, summary.zeros, summary.name) == (0.0, 4.0, 1.5, 0.5, "x")
    assert summary.std == pytest.approx(math.sqrt(11) / 2)  # population: (1.5^2 * 2 + .5^2 + 2.5^2) / 4 = 11/4
    assert summary.corner == [[0.0, 2.0], [4.0, 0.0]]


def test_share_of_zeros_is_exact():
    tensor = torch.ones(10)
    tensor[:3] = 0
    assert Reading(tensor).summary().zeros == pytest.approx(0.3, abs=1e-15)


@pytest.mark.parametrize(
    ("tensor", "corner"),
    [
        (torch.arange(40.0).reshape(5, 8), [[r * 8.0 + c for c in range(6)] for r in range(4)]),
        (torch.arange(9.0), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
        (torch.tensor(4.0), 4.0),
        (torch.arange(8.0).reshape(2, 2, 2), [[0.0, 1.0], [2.0, 3.0]]),
        (torch.arange(6.0).reshape(2, 3).t(), [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]),
        (torch.tensor([math.nan, math.inf, -math.inf, 1.0]), ["nan", "inf", "-inf", 1.0]),
    ],
)
def test_corner_holds_the_first_values_of_the_first_matrix(tensor, corner):
    assert Reading(tensor).summary().corner == corner


def test_corner_is_of_the_moment_it_was_measured():
    tensor = torch.ones(2, 3)
    reading = Reading(tensor)
    tensor.zero_()
    assert reading.summary().corner == [[1.0] * 3] * 2


@pytest.mark.parametrize(
    ("values", "non_finite"),
    [([1.0, math.nan], 1), ([math.inf, -math.inf, 0.0], 2), ([math.inf, 1.0], 1), ([math.nan] * 4, 4)],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_non_finite_values_are_counted(values, non_finite, dtype):
    summary = Reading(torch.tensor(values, dtype=dtype)).summary()
    assert summary.non_finite == non_finite
    assert summary.mean in {"nan", "inf", "-inf"}


def test_a_huge_tensor_is_sampled_and_says_so(monkeypatch):
    monkeypatch.setattr(gauge, "MOST_ELEMENTS", 1000)
    tensor = torch.randn(300, 64, generator=torch.Generator().manual_seed(0))
    tensor[7, 9] = math.inf
    summary = Reading(tensor).summary()
    assert 500 <= summary.sampled <= 1000
    assert summary.non_finite == 1, "counted in the whole, whatever the sample saw"
    tensor[7, 9] = 0.0
    summary = Reading(tensor).summary()
    assert summary.non_finite == 0
    assert float(summary.mean) == pytest.approx(0.0, abs=0.15)
    assert float(summary.std) == pytest.approx(1.0, abs=0.1)


def test_a_sample_does_not_see_the_same_columns_in_every_row(monkeypatch):
    monkeypatch.setattr(gauge, "MOST_ELEMENTS", 1024)
    tensor = torch.arange(64.0).repeat(64, 1)  # a step of 4 would see every fourth column only
    assert float(Reading(tensor).summary().mean) == pytest.approx(31.5, abs=0.5)
    assert float(Reading(tensor).summary().high) == 63.0


class Fancy(torch.Tensor):
    """A subclass: what its values mean is not known."""


UNMEASURED = {
    "empty": lambda: torch.empty(0, 3),
    "meta": lambda: torch.empty(2, 3, device="meta"),
    "sparse": lambda: torch.eye(3).to_sparse(),
    "csr": lambda: torch.eye(3).to_sparse_csr(),
    "quantized": lambda: torch.quantize_per_tensor(torch.ones(2, 2), 0.1, 0, torch.qint8),
    "subclass": lambda: torch.ones(2, 2).as_subclass(Fancy),
    "nested": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    "jagged": lambda: torch.nested.nested_tensor([torch.ones(2, 1), torch.ones(3, 1)], layout=torch.jagged),
}


@pytest.mark.parametrize("name", UNMEASURED)
@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_measured_is_left_unmeasured(name):
    summary = Reading(UNMEASURED[name]()).summary()
    assert (summary.low, summary.mean, summary.corner) == (None, None, None)
    assert all(isinstance(size, int) for size in summary.shape)


def test_a_tensor_changed_in_place_is_measured_anew_and_names_are_kept_apart():
    g = gauge.Gauge()
    tensor = torch.tensor([-1.0, 1.0])
    first = g.read(tensor, "before")
    second = g.read(tensor, "same")
    tensor.relu_()
    third = g.read(tensor, "after")
    assert [r.summary().low for r in (first, second, third)] == [-1.0, -1.0, 0.0]
    assert [r.summary().name for r in (first, second, third)] == ["before", "same", "after"]


def test_float16_norms_do_not_overflow():
    values = torch.full((1000,), 300.0, dtype=torch.float16)
    assert told(values) == pytest.approx((300.0, 300.0, 300.0, 0.0, 0.0))
    assert np.isfinite(told(values)).all()
