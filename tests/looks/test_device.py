"""Numbers that stay on a device until they are fetched: here the CPU plays the device.

``Tensor.is_cpu`` says no, so that everything goes the way it goes on a GPU; the record must be the
same, but for what is never waited for.
"""

from __future__ import annotations

import msgspec
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import stepscope
from stepscope.record import events as ev

#: Told only where reading it does not wait.
NOT_WAITED_FOR = {"total_norm", "scale", "at", "seconds", "values"}


def train() -> None:
    torch.manual_seed(0)
    data = TensorDataset(torch.randn(48, 6), torch.randint(0, 3, (48,)))
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(10):
        model.train()
        for x, y in DataLoader(data, batch_size=8):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for x, y in DataLoader(data, batch_size=16):
                F.cross_entropy(model(x), y)


def record_of(folder) -> list[dict]:
    with stepscope.watch(folder):
        train()
    events = stepscope.load(folder).main.events
    assert not [event for event in events if isinstance(event, ev.Defect)]
    return [without(msgspec.to_builtins(event)) for event in events]


def without(value):
    if isinstance(value, dict):
        return {key: without(part) for key, part in value.items() if key not in NOT_WAITED_FOR}
    return [without(part) for part in value] if isinstance(value, list | tuple) else value


def close(one, other, where="") -> None:
    """Equal but for rounding: sums are added up in another order."""
    assert type(one) is type(other) or {type(one), type(other)} <= {int, float}, (where, one, other)
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key, part in one.items():
            close(part, other[key], f"{where}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for at, (a, b) in enumerate(zip(one, other, strict=True)):
            close(a, b, f"{where}[{at}]")
    elif isinstance(one, float):
        assert abs(one - other) <= 1e-6 * max(abs(one), abs(other), 1e-3), (where, one, other)
    else:
        assert one == other, where


def test_what_comes_from_a_device_is_what_comes_from_the_host(tmp_path, monkeypatch):
    expected = record_of(tmp_path / "host")
    monkeypatch.setattr(torch.Tensor, "is_cpu", property(lambda _tensor: False))
    found = record_of(tmp_path / "device")
    monkeypatch.undo()
    stretches = [event for event in expected if "tallies" in event]
    assert stretches
    assert any(tally["right"] for event in stretches for tally in event["tallies"].values())
    close(found, expected)
