"""Rules on states and checkpoints: bugs in other clothes than their examples, and correct code that looks like them."""

from __future__ import annotations

import pytest

RULES = ("aliased-checkpoint", "aliased-target", "partial-resume")

BUGS = {
    "kept in an object": (
        "aliased-checkpoint",
        "proof",
        """
        class Best:
            def keep(self, model):
                self.state = dict(model.state_dict())  # here
        best, model = Best(), mlp()
        optimizer = sgd(model.parameters())
        best.keep(model)
        fit(model, optimizer)
        model.load_state_dict(best.state)
        """,
    ),
    "the newest was the best, this time": (
        "aliased-checkpoint",
        "proof",
        """
        model = mlp()
        optimizer = sgd(model.parameters())
        for _ in range(3):
            fit(model, optimizer, updates=3)
            best = model.state_dict()  # here
        model.load_state_dict(best)
        """,
    ),
    "parameters themselves": (
        "aliased-checkpoint",
        "proof",
        """
        model = mlp()
        best = dict(model.named_parameters())
        fit(model, sgd(model.parameters()))
        model.load_state_dict(best)  # here
        """,
    ),
    "stopped before the restore": (
        "aliased-checkpoint",
        "strong",
        """
        model = mlp()
        optimizer = sgd(model.parameters())
        fit(model, optimizer)
        best_weights = model.state_dict()  # here
        fit(model, optimizer)
        raise SystemExit
        """,
    ),
    "a view of the weights, perhaps on purpose": (
        "aliased-checkpoint",
        "hint",
        """
        model = mlp()
        live = model.state_dict()  # here
        fit(model, sgd(model.parameters()))
        raise SystemExit
        """,
    ),
    "a target averaged with itself": (
        "aliased-target",
        "proof",
        """
        class Agent:
            def __init__(self):
                self.critic = nn.Linear(4, 1)
                self.critic_target = self.critic  # here
                self.optimizer = sgd(self.critic.parameters())
            def learn(self, x):
                with torch.no_grad():
                    aim = 1 + 0.9 * self.critic_target(x.roll(1, 0))
                loss = (self.critic(x) - aim).square().mean()
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                for t, p in zip(self.critic_target.parameters(), self.critic.parameters()):
                    t.data.mul_(0.9).add_(0.1 * p.data)
        agent = Agent()
        for index in torch.randperm(96).split(16):
            agent.learn(X[index])
        """,
    ),
    "a target that is a shallow copy, averaged with the names the other way round": (
        "aliased-target",
        "proof",
        """
        class Agent:
            def __init__(self):
                self.critic = nn.Linear(4, 1)
                self.slow = copy.copy(self.critic)  # here
                self.optimizer = sgd(self.critic.parameters())
            def learn(self, x):
                with torch.no_grad():
                    aim = 1 + 0.9 * self.slow(x.roll(1, 0))
                loss = (self.critic(x) - aim).square().mean()
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                for p, t in zip(self.critic.parameters(), self.slow.parameters()):
                    t.data.copy_(0.1 * p.data + 0.9 * t.data)
        agent = Agent()
        for index in torch.randperm(96).split(16):
            agent.learn(X[index])
        """,
    ),
    "a teacher that shares its weights": (
        "aliased-target",
        "proof",
        """
        student, teacher = mlp(), mlp()
        teacher.load_state_dict(student.state_dict(), assign=True)  # here
        optimizer = sgd(student.parameters())
        for index in torch.randperm(96).split(16):
            with torch.no_grad():
                aim = teacher(X[index])
            optimizer.zero_grad()
            nn.functional.mse_loss(student(X[index]), aim).backward()
            optimizer.step()
        """,
    ),
    "only the weights of a checkpoint": (
        "partial-resume",
        "strong",
        """
        import io
        model = mlp()
        optimizer = torch.optim.Adam(model.parameters())
        fit(model, optimizer)
        file = io.BytesIO()
        torch.save({"epoch": 3, "model": model.state_dict(), "adam": optimizer.state_dict()}, file)
        file.seek(0)
        state = torch.load(file)
        model = mlp()
        model.load_state_dict(state["model"])  # here
        start = state["epoch"] + 1
        fit(model, torch.optim.Adam(model.parameters()))
        """,
    ),
    "all but the scaler": (
        "partial-resume",
        "strong",
        """
        import io
        def run(state):
            model = mlp()
            optimizer, scaler = torch.optim.Adam(model.parameters()), torch.amp.GradScaler("cpu")
            if state is not None:
                model.load_state_dict(state["model"])  # here
                optimizer.load_state_dict(state["optimizer"])
            for index in torch.randperm(96).split(16):
                optimizer.zero_grad()
                scaler.scale(nn.functional.cross_entropy(model(X[index]), Y[index])).backward()
                scaler.step(optimizer)
                scaler.update()
            return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "scaler": scaler.state_dict()}
        file = io.BytesIO()
        torch.save(run(None), file)
        file.seek(0)
        run(torch.load(file))
        """,
    ),
}


@pytest.mark.parametrize("name", BUGS)
@pytest.mark.filterwarnings("ignore")
def test_bugs_in_other_clothes(name, judged):
    rule, evidence, body = BUGS[name]
    got = judged(RULES, body)
    assert got.found == [(rule, evidence, got.line)], got.messages


SAVING = """
import io
model = mlp()
optimizer = torch.optim.Adam(model.parameters())
fit(model, optimizer)
file = io.BytesIO()
torch.save({"epoch": 3, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
file.seek(0)
state = torch.load(file)
"""

CORRECT = {
    "a deep copy": """
        model = mlp()
        best = copy.deepcopy(model.state_dict())
        fit(model, sgd(model.parameters()))
        model.load_state_dict(best)
        """,
    "clones": """
        model = mlp()
        best = {k: v.clone() for k, v in model.state_dict().items()}
        fit(model, sgd(model.parameters()))
        model.load_state_dict(best)
        """,
    "saved at once, and kept": """
        import io
        model, file = mlp(), io.BytesIO()
        best = model.state_dict()
        torch.save({"best": best}, file)
        fit(model, sgd(model.parameters()))
        raise SystemExit
        """,
    "its own states, filled up by others": """
        model = mlp()
        state = model.state_dict()
        state.update({k: v.clone() for k, v in mlp().state_dict().items() if k.startswith("0.")})
        model.load_state_dict(state)
        fit(model, sgd(model.parameters()))
        """,
    "changed in place, and put back": """
        model = mlp()
        optimizer = sgd(model.parameters())
        for _ in range(3):
            fit(model, optimizer, updates=3)
            state = model.state_dict()
            for value in state.values():
                value.mul_(0.99)
            model.load_state_dict(state)
        """,
    "read for an average": """
        model = mlp()
        average = copy.deepcopy(model)
        optimizer = sgd(model.parameters())
        for index in torch.randperm(96).split(16):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(X[index]), Y[index]).backward()
            optimizer.step()
            now = model.state_dict()
            for name, value in average.state_dict().items():
                value.mul_(0.9).add_(now[name], alpha=0.1)
        """,
    "a target of its own": """
        online = mlp()
        target = copy.deepcopy(online)
        optimizer = sgd(online.parameters())
        for i, index in enumerate(torch.randperm(96).split(16)):
            with torch.no_grad():
                aim = target(X[index])
            optimizer.zero_grad()
            nn.functional.mse_loss(online(X[index]), aim).backward()
            optimizer.step()
            if i % 2:
                target.load_state_dict(online.state_dict())
        """,
    "a loop over gradients of one net and parameters of a copy": """
        model = mlp()
        start = copy.deepcopy(model)
        fit(model, sgd(model.parameters()))
        with torch.no_grad():
            for a, b in zip(model.parameters(), start.parameters()):
                b.lerp_(a, 0.5)
        """,
    "weights only, from a checkpoint that holds more": SAVING.replace("\n", "\n        ")
    + """
        model = mlp()
        model.load_state_dict(state["model"])
        print(f"weights of epoch {state['epoch']}")
        fit(model, torch.optim.Adam(model.parameters()))
        """,
    "all of a checkpoint": SAVING.replace("\n", "\n        ")
    + """
        model = mlp()
        optimizer = torch.optim.Adam(model.parameters())
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        start = state["epoch"] + 1
        fit(model, optimizer)
        """,
    "read for evaluation only": SAVING.replace("\n", "\n        ")
    + """
        model.load_state_dict(state["model"])
        best = state["epoch"]
        with torch.no_grad():
            model(X)
        """,
}


@pytest.mark.parametrize("name", CORRECT)
@pytest.mark.filterwarnings("ignore")
def test_correct_code_is_left_alone(name, judged):
    got = judged(RULES, CORRECT[name])
    assert got.found == [], got.messages
