"""The autograd graph of a close look, folded to modules."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def look_at(watched, net, inputs, loss_of=lambda out: out.sum()):
    def train():
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        loss_of(net(*inputs)).backward()
        optimizer.step()

    return watched(train).updates[0].look


def by_layer(look, graph=0):
    """Operations by the dotted name of the layer; None for those outside any."""
    names = {layer.index: layer.path for layer in look.layers}
    return {names.get(node.layer): sorted(node.operations) for node in look.graphs[graph].nodes}


def edges(look):
    names = {layer.index: layer.path for layer in look.layers}
    nodes = look.graphs[0].nodes
    return {(names.get(nodes[a].layer), names.get(nodes[b].layer)) for a, b in look.graphs[0].edges}


class Cut(nn.Module):
    """The encoder's output is detached on its way to the head."""

    def __init__(self, *, cut):
        super().__init__()
        self.encoder, self.head, self.cut = nn.Linear(3, 4), nn.Linear(4, 2), cut

    def forward(self, x):
        hidden = self.encoder(x).relu()
        return self.head(hidden.detach() if self.cut else hidden)


def test_nodes_belong_to_the_layers_that_made_them(watched):
    look = look_at(watched, Cut(cut=False), (torch.randn(5, 3),))
    assert by_layer(look) == {
        None: ["SumBackward0"],
        "head": ["AddmmBackward0", "TBackward0"],
        "": ["ReluBackward0"],
        "encoder": ["AddmmBackward0", "TBackward0"],
    }
    assert edges(look) == {(None, "head"), ("head", ""), ("", "encoder")}
    graph = look.graphs[0]
    assert sorted(graph.reached) == ["encoder.bias", "encoder.weight", "head.bias", "head.weight"]
    assert (graph.operations, graph.complete) == (6 + 4, True)  # and an AccumulateGrad for each parameter


def test_a_cut_graph_does_not_reach_what_lies_behind(watched):
    look = look_at(watched, Cut(cut=True), (torch.randn(5, 3),))
    assert sorted(look.graphs[0].reached) == ["head.bias", "head.weight"]
    assert "encoder" not in by_layer(look)
    assert [layer.path for layer in look.layers] == ["", "encoder", "head"]
    assert next(layer for layer in look.layers if layer.path == "encoder").gradient is None


def test_a_frozen_parameter_is_not_reached(watched):
    net = Cut(cut=False)
    net.encoder.weight.requires_grad_(False)
    look = look_at(watched, net, (torch.randn(5, 3),))
    assert sorted(look.graphs[0].reached) == ["encoder.bias", "head.bias", "head.weight"]


def test_a_module_called_twice_has_two_nodes(watched):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x):
            return self.layer(torch.tanh(self.layer(x)))

    look = look_at(watched, Twice(), (torch.randn(2, 3),))
    nodes = {node.layer: sorted(node.operations) for node in look.graphs[0].nodes}
    assert nodes[1] == nodes[2] == ["AddmmBackward0", "TBackward0"]
    assert nodes[0] == ["TanhBackward0"]
    assert sorted(look.graphs[0].reached) == ["layer.bias", "layer.weight"]


def test_layers_without_nodes_and_nested_ones(watched):
    net = nn.Sequential(nn.Identity(), nn.Sequential(nn.Linear(3, 3), nn.ReLU()), nn.Identity(), nn.Dropout(0.0))
    look = look_at(watched, net, (torch.randn(2, 3),))
    nodes = by_layer(look)
    assert nodes["1.0"] == ["AddmmBackward0", "TBackward0"]
    assert nodes["1.1"] == ["ReluBackward0"]
    assert "0" not in nodes
    assert "2" not in nodes
    assert "1" not in nodes


def test_in_place_activation_owns_its_node(watched):
    look = look_at(watched, nn.Sequential(nn.Linear(3, 3), nn.ReLU(inplace=True)), (torch.randn(2, 3),))
    assert by_layer(look)["1"] == ["ReluBackward0"]


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_blocks(watched, reentrant):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.block, self.head = nn.Linear(3, 3), nn.Linear(3, 1)

        def forward(self, x):
            return self.head(checkpoint(self.block, x, use_reentrant=reentrant))

    calls = []
    net = Net()
    net.block.register_forward_pre_hook(lambda *_: calls.append(1))
    look = look_at(watched, net, (torch.randn(2, 3, requires_grad=True),))
    graph = look.graphs[0]
    assert {"head.bias", "head.weight"} <= set(graph.reached)
    assert ("block.weight" in graph.reached) is not reentrant
    assert graph.complete is not reentrant, "what a reentrant checkpoint hides is not called unreached"
    assert len(calls) == 2, "once forward, once recomputed: not once more for the look"


def test_each_round_has_a_graph_of_its_own(watched):
    def train():
        net = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 1))
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(3):
            (net(torch.randn(2, 3)).mean() / 3).backward()
        optimizer.step()

    look = watched(train).updates[0].look
    assert [graph.round for graph in look.graphs] == [0, 1, 2]
    for number, graph in enumerate(look.graphs):
        owners = [layer for layer in look.layers if layer.round == number]
        assert len(owners) == 4
        assert {node.layer for node in graph.nodes} - {-1} <= {layer.index for layer in owners}
        assert len(graph.reached) == 4
