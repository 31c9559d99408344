"""Rules on what is trained: bugs in other clothes than their examples, and correct code that looks like them."""

from __future__ import annotations

import pytest

RULES = (
    "unoptimized-parameters",
    "orphaned-parameters",
    "unregistered-layers",
    "frozen-parameters",
    "ineffective-requires-grad",
    "recreated-optimizer",
    "decayed-norms",
)

BUGS = {
    "a second network that was forgotten": (
        "unoptimized-parameters",
        "strong",
        """
        body, head = nn.Linear(4, 8), nn.Linear(8, 2)
        optimizer = sgd(body.parameters())
        fit(nn.ModuleList([body, head]), torch.optim.Adam(body.parameters()), lambda x: head(torch.tanh(body(x))))  # here
        """,
    ),
    "a temperature that is nowhere": (
        "unoptimized-parameters",
        "strong",
        """
        model, scale = mlp(), nn.Parameter(torch.ones(()))
        optimizer = torch.optim.Adam(model.parameters())  # here
        fit(model, optimizer, lambda x: model(x) * scale)
        """,
    ),
    "a head that came after the optimizer": (
        "unoptimized-parameters",
        "strong",
        """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.body = nn.Linear(4, 8)
            def forward(self, x):
                return self.head(torch.tanh(self.body(x)))
        model = Net()
        optimizer = torch.optim.Adam(model.parameters())  # here
        model.head = nn.Linear(8, 2)
        fit(model, optimizer)
        """,
    ),
    "a new head before the first call": (
        "orphaned-parameters",
        "proof",
        """
        model = mlp()
        optimizer = sgd(model.parameters())
        model[2] = nn.Sequential(nn.Linear(16, 4), nn.Linear(4, 2))  # here
        fit(model, optimizer)
        """,
    ),
    "a new parameter in the old layer": (
        "orphaned-parameters",
        "proof",
        """
        model = mlp()
        optimizer = torch.optim.Adam(model.parameters())  # here
        model[0].weight = nn.Parameter(torch.randn(16, 4))
        fit(model, optimizer)
        """,
    ),
    "states assigned after the optimizer": (
        "orphaned-parameters",
        "proof",
        """
        model = mlp()
        optimizer = torch.optim.Adam(model.parameters())
        model.load_state_dict(mlp().state_dict(), assign=True)  # here
        fit(model, optimizer)
        """,
    ),
    "layers appended to a list": (
        "unregistered-layers",
        "proof",
        """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = []
                for _ in range(3):
                    self.layers.append(nn.Linear(4, 4))  # here
                self.head = nn.Linear(4, 2)
            def forward(self, x):
                for layer in self.layers:
                    x = torch.relu(layer(x)) + x
                return self.head(x)
        model = Net()
        fit(model, torch.optim.Adam(model.parameters()))
        """,
    ),
    "layers in a helper that is no module": (
        "unregistered-layers",
        "strong",
        """
        class Tower:
            def __init__(self):
                self.inner = nn.Linear(4, 4)  # here
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.tower = Tower()
                self.head = nn.Linear(4, 2)
            def forward(self, x):
                return self.head(torch.relu(self.tower.inner(x)))
        model = Net()
        fit(model, torch.optim.Adam(model.parameters()))
        """,
    ),
    "parameters in a list": (
        "unregistered-layers",
        "proof",
        """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.weights = [nn.Parameter(0.1 * torch.randn(4, 4)) for _ in range(2)]
                self.head = nn.Linear(4, 2)
            def forward(self, x):
                for weight in self.weights:
                    x = torch.tanh(x @ weight)
                return self.head(x)
        model = Net()
        optimizer = torch.optim.Adam(model.parameters())  # here
        fit(model, optimizer)
        """,
    ),
    "everything but a bias frozen": (
        "frozen-parameters",
        "strong",
        """
        model = mlp()
        for p in list(model.parameters())[:-1]:
            p.requires_grad = False  # here
        fit(model, sgd([p for p in model.parameters() if p.requires_grad]))
        """,
    ),
    "a module told not to require": (
        "ineffective-requires-grad",
        "proof",
        """
        model = mlp()
        model[0].requires_grad = False  # here
        fit(model, sgd(model.parameters()))
        """,
    ),
    "the method overwritten": (
        "ineffective-requires-grad",
        "proof",
        """
        model = mlp()
        for p in model[0].parameters():
            p.requires_grad_ = False  # here
        fit(model, sgd(model.parameters()))
        """,
    ),
    "a misspelling": (
        "ineffective-requires-grad",
        "proof",
        """
        model = mlp()
        for p in model[0].parameters():
            p.requires_grads = False  # here
        for p in model[2].parameters():
            p.requires_grad = True
        fit(model, sgd(model.parameters()))
        """,
    ),
    "momentum made anew for each epoch": (
        "recreated-optimizer",
        "strong",
        """
        from torch.utils.data import DataLoader, TensorDataset
        model = mlp()
        loader = DataLoader(TensorDataset(X, Y), batch_size=24, shuffle=True)
        def epoch():
            optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)  # here
            for x, y in loader:
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x), y).backward()
                optimizer.step()
        for _ in range(4):
            epoch()
        """,
    ),
    "norms that the filter misses": (
        "decayed-norms",
        "hint",
        """
        model = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))
        named = list(model.named_parameters())
        groups = [
            {"params": [p for n, p in named if not n.endswith("bias")], "weight_decay": 0.01},
            {"params": [p for n, p in named if n.endswith("bias")], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups)  # here
        fit(model, optimizer)
        """,
    ),
    "a filter by names where there are no biases": (
        "decayed-norms",
        "hint",
        """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.place = nn.Embedding(4, 8)
                self.ln = nn.LayerNorm(8, bias=False)
                self.head = nn.Linear(8, 2, bias=False)
            def forward(self, x):
                return self.head(self.ln(self.place(torch.arange(4)) * x.unsqueeze(2)).mean(1))
        model = Net()
        spared = ("bias", "LayerNorm.weight", "place")
        named = list(model.named_parameters())
        groups = [
            {"params": [p for n, p in named if not any(s in n for s in spared)], "weight_decay": 0.01},
            {"params": [p for n, p in named if any(s in n for s in spared)], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups)  # here
        fit(model, optimizer)
        """,
    ),
}


@pytest.mark.parametrize("name", BUGS)
@pytest.mark.filterwarnings("ignore")
def test_bugs_in_other_clothes(name, judged):
    rule, evidence, body = BUGS[name]
    got = judged(RULES, body)
    assert got.found == [(rule, evidence, got.line)], got.messages


CORRECT = {
    "a linear probe on loaded weights, not frozen": """
        model = mlp()
        model.load_state_dict(mlp().state_dict())
        model[2] = nn.Linear(16, 2)
        fit(model, sgd(model[2].parameters()))
        """,
    "a probe on weights trained before": """
        model = mlp()
        fit(model, sgd(model.parameters()))
        model[2] = nn.Linear(16, 2)
        fit(model, sgd(model[2].parameters()))
        """,
    "a part trained by hand": """
        body, head = nn.Linear(4, 8), nn.Linear(8, 2)
        optimizer = sgd(body.parameters())
        for index in torch.randperm(96).split(16):
            optimizer.zero_grad()
            head.zero_grad()
            nn.functional.cross_entropy(head(torch.tanh(body(X[index]))), Y[index]).backward()
            optimizer.step()
            for p in head.parameters():
                p.data -= 0.05 * p.grad
        """,
    "one optimizer for each layer": """
        model = mlp()
        both = [sgd(model[0].parameters()), sgd(model[2].parameters())]
        for index in torch.randperm(96).split(16):
            model.zero_grad()
            nn.functional.cross_entropy(model(X[index]), Y[index]).backward()
            for optimizer in both:
                optimizer.step()
        """,
    "a group added later": """
        model = mlp()
        optimizer = sgd(model[2].parameters())
        fit(model, optimizer)
        optimizer.add_param_group({"params": model[0].parameters()})
        fit(model, optimizer)
        """,
    "a new head with a new optimizer, the old one still there": """
        model = mlp()
        old = sgd(model.parameters())
        model[2] = nn.Linear(16, 2)
        fit(model, sgd(model.parameters()))
        """,
    "heads that take turns": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.body = nn.Linear(4, 8)
                self.head = None
            def forward(self, x):
                return self.head(torch.tanh(self.body(x)))
        model, heads = Net(), nn.ModuleList(nn.Linear(8, 2) for _ in range(2))
        optimizer = sgd([*model.parameters(), *heads.parameters()])
        for head in (*heads, *heads):
            model.head = head
            fit(model, optimizer)
        """,
    "a parametrization after the optimizer": """
        model = mlp()
        optimizer = sgd(model.parameters())
        torch.nn.utils.parametrizations.weight_norm(model[0])
        fit(model, sgd(model.parameters()))
        torch.nn.utils.parametrize.register_parametrization(model[2], "weight", nn.Identity())
        """,
    "a frozen teacher hidden in a list": """
        class Student(nn.Module):
            def __init__(self, teacher):
                super().__init__()
                self.net = mlp()
                self.teacher = [teacher]
            def forward(self, x):
                with torch.no_grad():
                    aim = self.teacher[0](x)
                return self.net(x) + 0 * aim
        model = Student(mlp())
        fit(model, sgd(model.parameters()))
        """,
    "a list whose layers the optimizer was given": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = [nn.Linear(4, 4) for _ in range(2)]
                self.head = nn.Linear(4, 2)
            def forward(self, x):
                for layer in self.layers:
                    x = torch.tanh(layer(x))
                return self.head(x)
        model = Net()
        given = [*model.parameters(), *(p for layer in model.layers for p in layer.parameters())]
        fit(nn.ModuleList([model, *model.layers]), sgd(given), model)
        """,
    "a list beside a module list": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.order = [nn.Linear(4, 4) for _ in range(2)]
                self.layers = nn.ModuleList(self.order)
                self.head = nn.Linear(4, 2)
            def forward(self, x):
                for layer in self.order:
                    x = torch.tanh(layer(x))
                return self.head(x)
        model = Net()
        fit(model, sgd(model.parameters()))
        """,
    "only biases are tuned": """
        model = mlp()
        for name, p in model.named_parameters():
            p.requires_grad_(p.ndim == 1)
        fit(model, sgd([p for p in model.parameters() if p.requires_grad]))
        """,
    "adapters on a model whose weights came from nowhere": """
        class Adapted(nn.Module):
            def __init__(self, base):
                super().__init__()
                self.base = base.requires_grad_(False)
                self.down = nn.Parameter(torch.randn(2, base.in_features))
                self.up = nn.Parameter(torch.zeros(base.out_features, 2))
            def forward(self, x):
                return self.base(x) + x @ self.down.T @ self.up.T
        model = nn.Sequential(Adapted(nn.Linear(4, 64)), nn.Tanh(), Adapted(nn.Linear(64, 2)))
        fit(model, sgd([p for p in model.parameters() if p.requires_grad]))
        """,
    "random features with a trained head": """
        model = nn.Sequential(nn.Linear(4, 512), nn.Tanh(), nn.Linear(512, 2))
        model[0].requires_grad_(False)
        fit(model, sgd(model[2].parameters()))
        """,
    "a discriminator frozen for the generator's turn": """
        g, d = nn.Linear(2, 4), nn.Linear(4, 1)
        og, od = sgd(g.parameters()), sgd(d.parameters())
        for index in torch.randperm(96).split(16):
            for p in d.parameters():
                p.requires_grad = True
            od.zero_grad()
            (d(g(torch.randn(16, 2)).detach()).mean() - d(X[index]).mean()).backward()
            od.step()
            for p in d.parameters():
                p.requires_grad = False
            og.zero_grad()
            (-d(g(torch.randn(16, 2)))).mean().backward()
            og.step()
        """,
    "an attribute of that name that nothing trains": """
        model, fixed = mlp(), nn.Linear(4, 4)
        fixed.requires_grad = False
        fit(model, sgd(model.parameters()), lambda x: model(fixed(x)))
        fixed_given = fixed.load_state_dict(nn.Linear(4, 4).state_dict())
        """,
    "plain SGD made anew": """
        model = mlp()
        for index in torch.randperm(96).split(16):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(X[index]), Y[index]).backward()
            optimizer.step()
        """,
    "a new model, and optimizer, for each fold": """
        for _ in range(4):
            model = mlp()
            fit(model, torch.optim.Adam(model.parameters()))
        """,
    "warm restarts": """
        model = mlp()
        def cycle():
            fit(model, torch.optim.Adam(model.parameters(), lr=0.01), updates=4)
        for _ in range(4):
            cycle()
        """,
    "no decay for vectors": """
        model = nn.Sequential(nn.Linear(4, 16), nn.LayerNorm(16), nn.ReLU(), nn.Linear(16, 2))
        groups = [
            {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 0.01},
            {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
        ]
        fit(model, torch.optim.AdamW(groups))
        """,
}


@pytest.mark.parametrize("name", CORRECT)
@pytest.mark.filterwarnings("ignore")
def test_correct_code_is_left_alone(name, judged):
    got = judged(RULES, CORRECT[name])
    assert got.found == [], got.messages
