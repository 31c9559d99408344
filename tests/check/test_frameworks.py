"""Unchanged scripts for Lightning, Accelerate and the Hugging Face Trainer: one buggy, one right, of each."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.slow

LIGHTNING = """
import logging
import lightning as L
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
L.seed_everything(0)
centers = 3 * torch.randn(3, 8)
labels = torch.randint(0, 3, (192,))
data = TensorDataset(centers[labels] + torch.randn(192, 8), labels)
train, held = torch.utils.data.random_split(data, [144, 48])

class Classifier(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 3){last})

    def training_step(self, batch, index):
        x, y = batch
        return nn.functional.cross_entropy(self.net(x), y)  # BUG

    def validation_step(self, batch, index):
        x, y = batch
        self.log("accuracy", (self.net(x).argmax(1) == y).float().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-2)

trainer = L.Trainer(
    max_epochs=4, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(Classifier(), DataLoader(train, batch_size=16, shuffle=True), DataLoader(held, batch_size=16))
"""

ACCELERATE = """
import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.randn(192, 6)
data = TensorDataset(x, x @ torch.randn(6, 1) + 0.1 * torch.randn(192, 1))
train, held = torch.utils.data.random_split(data, [144, 48])
accelerator = Accelerator(cpu=True)
model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 1))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
model, optimizer, loader, held_loader = accelerator.prepare(
    model, optimizer, DataLoader(train, batch_size=16, shuffle=True), DataLoader(held, batch_size=16)
)
for epoch in range(4):
    model.train()
    for inputs, targets in loader:
        {clear}
        loss = nn.functional.mse_loss(model(inputs), targets)
        accelerator.backward(loss)  # BUG
        optimizer.step()
    model.eval()
    with torch.no_grad():
        total = sum(nn.functional.mse_loss(model(a), b).item() for a, b in held_loader)
    print("held out", total / len(held_loader))
"""

TRAINER = """
import torch
from torch import nn
from transformers import Trainer, TrainingArguments

torch.manual_seed(0)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.1))
        self.head = nn.Linear(32, 3)
    def forward(self, x=None, labels=None):
        logits = self.head(self.body(x)){softmax}
        return {{"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}}  # BUG

centers = 3 * torch.randn(3, 8)
labels = torch.randint(0, 3, (192,))
rows = [{{"x": centers[label] + torch.randn(8), "labels": label}} for label in labels]
arguments = TrainingArguments(
    output_dir="out", num_train_epochs=3, per_device_train_batch_size=16, report_to=[], use_cpu=True,
    save_strategy="no", eval_strategy="epoch", disable_tqdm=True, logging_strategy="no", learning_rate=1e-2,
)
Trainer(model=Net(), args=arguments, train_dataset=rows[:144], eval_dataset=rows[144:]).train()
"""

CASES = {
    "lightning": ("double-softmax", LIGHTNING, {"last": ", nn.Softmax(dim=1)"}, {"last": ""}),
    "accelerate": ("stale-gradients", ACCELERATE, {"clear": "pass"}, {"clear": "optimizer.zero_grad()"}),
    "transformers": ("double-softmax", TRAINER, {"softmax": ".softmax(dim=-1)"}, {"softmax": ""}),
}


def places(text):
    """The lines that may be named: the marked one, and that of the softmax."""
    lines = enumerate(text.splitlines(), 1)
    return {number for number, line in lines if line.endswith("# BUG") or "oftmax(" in line}


@pytest.mark.parametrize("framework", CASES)
def test_a_bug_in_a_script_of_a_framework_is_found(check, script, framework):
    pytest.importorskip(framework)
    rule, text, bug, _ = CASES[framework]
    path = script(text.format(**bug))
    done = check("--format", "json", path)
    assert done.returncode == 1, done.stderr[-2000:]
    sure = [f for f in json.loads(done.stdout)["findings"] if f["evidence"] != "hint"]
    assert [f["rule"] for f in sure] == [rule], sure
    assert sure[0]["path"] == str(path)
    assert sure[0]["line"] in places(path.read_text())


@pytest.mark.parametrize("framework", CASES)
def test_a_right_script_of_a_framework_is_all_well(check, script, framework):
    pytest.importorskip(framework)
    _, text, _, right = CASES[framework]
    done = check("--format", "json", script(text.format(**right)))
    document = json.loads(done.stdout)
    assert [f for f in document["findings"] if f["evidence"] != "hint"] == []
    assert done.returncode == 0, done.stderr[-2000:]
    assert document["updates"] >= 27
    assert "train-mode-evaluation" not in document["unjudged"], "its evaluation was seen"
