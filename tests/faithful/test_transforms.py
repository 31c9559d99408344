"""torch.func, jit, fx, export, modes of the user's: all work inside a watch as they do bare."""

from __future__ import annotations

import collections
import copy
import io
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

pytestmark = pytest.mark.filterwarnings("ignore")


def net():
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def batch():
    return torch.randn(4, 6), torch.randint(0, 3, (4,))


def train(model, updates=3, criterion=functional.cross_entropy, optimizer=torch.optim.SGD):
    stepping = optimizer(model.parameters(), 0.1)
    for _ in range(updates):
        inputs, targets = batch()
        stepping.zero_grad()
        criterion(model(inputs), targets).backward()
        stepping.step()
    return total(model.parameters())


def total(tensors):
    return [tensor.detach().double().sum().item() for tensor in tensors]


class WithLoss(nn.Module):
    def __init__(self):
        super().__init__()
        self.model, self.criterion = net(), nn.CrossEntropyLoss()

    def forward(self, x: torch.Tensor, y: torch.Tensor):
        return self.criterion(self.model(x), y) + functional.mse_loss(x, x * 0.5)


def func_gradients():
    model = net()
    parameters = dict(model.named_parameters())

    def loss(parameters, inputs, targets):
        return functional.cross_entropy(torch.func.functional_call(model, parameters, (inputs,)), targets)

    for _ in range(3):
        gradients = torch.func.grad(loss)(parameters, *batch())
        parameters = {k: (v - 0.1 * gradients[k]).detach() for k, v in parameters.items()}
    return total(parameters.values())


def per_sample_gradients():
    model = net()
    parameters = {k: v.detach() for k, v in model.named_parameters()}

    def loss(parameters, inputs, target):
        logits = torch.func.functional_call(model, parameters, (inputs[None],))
        return functional.cross_entropy(logits, target[None])

    gradients = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(parameters, *batch())
    return total(gradients.values()), train(model)


def vmapped_losses():
    model = net()
    loss = torch.func.vmap(lambda x, y: functional.cross_entropy(model(x[None]), y[None]))
    with torch.no_grad():
        evaluated = loss(*batch()).sum().item()
    trained = loss(*batch()).sum()
    trained.backward()
    return evaluated, trained.item(), train(model)


def jacobians():
    model, x = net(), torch.randn(6)
    return total(
        [torch.func.jacrev(model)(x), torch.func.jacfwd(model)(x), torch.func.hessian(lambda x: model(x).sum())(x)]
    )


def scripted():
    def loss(x: torch.Tensor, y: torch.Tensor):
        return (
            functional.cross_entropy(x, y)
            + functional.mse_loss(x, x * 0)
            + functional.kl_div(x.log_softmax(1), x.softmax(1))
        )

    model = net()
    train(model)
    together = torch.jit.script(WithLoss())
    optimizer = torch.optim.SGD(together.parameters(), 0.1)
    together(*batch()).backward()
    optimizer.step()
    return train(torch.jit.script(model), criterion=torch.jit.script(loss)), total(together.parameters())


def traced():
    both = torch.jit.trace(WithLoss(), batch())
    return len(list(both.graph.nodes())), both(*batch()).item(), train(torch.jit.trace(net(), batch()[0]))


def symbolically_traced():
    graph = torch.fx.symbolic_trace(net())
    return graph.code, torch.fx.symbolic_trace(WithLoss()).code, train(graph)


def exported():
    program = torch.export.export(WithLoss(), batch())
    return len(program.graph.nodes), program.module()(*batch()).item(), train(net())


def recorded_as_a_graph():
    from torch.fx.experimental.proxy_tensor import make_fx

    model = net()

    def gradients(x, y):
        return torch.autograd.grad(functional.cross_entropy(model(x), y), list(model.parameters()))

    return make_fx(gradients)(*batch()).code, train(model)


def faked():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        model = net()
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        functional.cross_entropy(model(torch.randn(4, 6)), torch.randint(0, 3, (4,))).backward()
        optimizer.step()
    return train(net())


def flops():
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        train(net())
    return counter.get_total_flops()


def every_operation_seen_by_modes():
    seen = collections.Counter()

    class Dispatched(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen["dispatch", str(func)] += 1
            return func(*args, **(kwargs or {}))

    class Called(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            name = getattr(getattr(func, "__self__", None), "__name__", "") + getattr(func, "__name__", str(func))
            seen["function", name] += 1
            return func(*args, **(kwargs or {}))

    model = net()
    optimizer = torch.optim.Adam(model.parameters(), 0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    data = torch.utils.data.TensorDataset(torch.randn(8, 6), torch.randint(0, 3, (8,)))
    with Dispatched(), Called():
        for _ in range(4):
            model.train()
            for inputs, targets in torch.utils.data.DataLoader(data, 4):
                optimizer.zero_grad()
                functional.cross_entropy(model(inputs), targets).backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                nn.utils.clip_grad_value_(model.parameters(), 1.0)
                optimizer.step()
            scheduler.step()
            model.eval()
            with torch.no_grad():
                functional.cross_entropy(model(inputs), targets)
            model.zero_grad()
            model.load_state_dict(model.state_dict())
    return seen


def on_the_meta_device():
    with torch.device("meta"):
        model = net()
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        functional.cross_entropy(model(torch.randn(4, 6)), torch.randint(0, 3, (4,))).backward()
        optimizer.step()
    return train(net())


def with_a_default_device_and_dtype():
    torch.set_default_device("cpu")
    torch.set_default_dtype(torch.float64)
    try:
        return train(net())
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)


def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        return train(net())
    finally:
        torch.use_deterministic_algorithms(False)


def with_anomalies_detected():
    with torch.autograd.detect_anomaly():
        return train(net())


def in_inference_mode():
    model = net()
    train(model)
    with torch.inference_mode():
        inputs, targets = batch()
        loss = functional.cross_entropy(model(inputs), targets).item()
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
    return loss, train(model)


def copies_of_a_model():
    model = net()
    train(model)
    saved = io.BytesIO()
    torch.save(model, saved)
    saved.seek(0)
    loaded = torch.load(saved, weights_only=False)
    return [train(m) for m in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), loaded, model)]  # noqa: S301


def complex_and_sparse():
    weight = nn.Parameter(torch.randn(3, 3, dtype=torch.complex64))
    optimizer = torch.optim.Adam([weight])
    table = nn.Embedding(10, 3, sparse=True)
    sparse = torch.optim.SparseAdam(table.parameters())
    for _ in range(3):
        optimizer.zero_grad()
        (weight @ weight).abs().pow(2).mean().backward()
        optimizer.step()
        sparse.zero_grad()
        functional.cross_entropy(table(torch.randint(0, 10, (4,))), torch.randint(0, 3, (4,))).backward()
        sparse.step()
    return total([weight.detach().abs(), table.weight])


CASES = [
    func_gradients,
    per_sample_gradients,
    vmapped_losses,
    jacobians,
    scripted,
    traced,
    symbolically_traced,
    exported,
    recorded_as_a_graph,
    faked,
    flops,
    every_operation_seen_by_modes,
    on_the_meta_device,
    with_a_default_device_and_dtype,
    deterministic,
    with_anomalies_detected,
    in_inference_mode,
    copies_of_a_model,
    complex_and_sparse,
]


@pytest.mark.parametrize("case", CASES)
def test_as_bare(same, digest, case):
    same(lambda: (case(), digest()))
    torch._dynamo.reset()
