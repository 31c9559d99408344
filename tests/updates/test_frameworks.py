"""Lightning, Accelerate and the Hugging Face Trainer, for real."""

from __future__ import annotations

import warnings

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

LIGHTNING = """
import logging
import lightning as L
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
torch.manual_seed(0)
losses, held = [], []
data = TensorDataset(torch.randn(12, 3), torch.randn(12, 1))
class Module(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(3, 1)
    def validation_step(self, batch, index):
        x, y = batch
        held.append(nn.functional.mse_loss(self.net(x), y).item())
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
{training}
trainer = L.Trainer(
    max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
    enable_model_summary=False, num_sanity_val_steps=0, {options}
)
trainer.fit(Module(), DataLoader(data, batch_size=4), DataLoader(data, batch_size=6))  # fit
"""

AUTOMATIC = """
    def training_step(self, batch, index):
        x, y = batch
        output = self.net(x)  # forward
        loss = nn.functional.mse_loss(output, y)  # loss
        losses.append(loss.item())
        return loss
"""

MANUAL = """
    automatic_optimization = False
    def training_step(self, batch, index):
        x, y = batch
        optimizer = self.optimizers()
        output = self.net(x)  # forward
        loss = nn.functional.mse_loss(output, y)  # loss
        losses.append(loss.item())
        optimizer.zero_grad()  # clear
        self.manual_backward(loss)  # backward
        optimizer.step()  # step
"""


def lightning(training: str, options: str = "") -> str:
    return LIGHTNING.replace("{training}", training).replace("{options}", options)


def test_lightning_automatic(play):
    pytest.importorskip("lightning")
    played = play(lightning(AUTOMATIC))
    main = played.main
    assert main.update_count == 6
    assert {u.kind for u in main.updates} == {"closure"}
    assert played.losses() == played.names["losses"]
    assert [len(u.rounds) for u in main.updates] == [1] * 6
    one = "batch@fit forward loss clear@fit backward@fit step@fit"
    # Lightning clears the module once as each epoch begins, and again in its closure.
    assert [played.skeleton(u) for u in main.updates] == [f"clear@fit {one}", one, one] * 2
    assert [(e.number, e.first_update, e.last_update) for e in main.epochs] == [(1, 1, 3), (2, 4, 6)]
    assert [e.after for e in main.evaluations] == [3, 6]
    assert [e.tallies[0].mean for e in main.evaluations] == pytest.approx(
        [sum(played.names["held"][:2]) / 2, sum(played.names["held"][2:]) / 2], rel=1e-9
    )


def test_lightning_accumulates(play):
    pytest.importorskip("lightning")
    played = play(lightning(AUTOMATIC, "accumulate_grad_batches=2, gradient_clip_val=0.5, limit_val_batches=0"))
    assert [len(u.rounds) for u in played.main.updates] == [2, 1, 2, 1]
    assert [len(u.clips) for u in played.main.updates] == [1] * 4


def test_lightning_manual(play):
    pytest.importorskip("lightning")
    played = play(lightning(MANUAL))
    assert played.main.update_count == 6
    one = "batch@fit forward loss clear backward step"
    assert [played.skeleton(u) for u in played.main.updates] == [f"clear@fit {one}", one, one] * 2
    assert played.losses() == played.names["losses"]


def test_accelerate_with_accumulation(play):
    pytest.importorskip("accelerate")
    played = play(
        """
import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
torch.manual_seed(0)
data = TensorDataset(torch.randn(20, 3), torch.randn(20, 1))
accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
model, optimizer, loader = accelerator.prepare(model, optimizer, DataLoader(data, batch_size=4))
losses = []
for epoch in range(2):
    for x, y in loader:  # batch
        with accelerator.accumulate(model):
            output = model(x)  # forward
            loss = nn.functional.mse_loss(output, y)  # loss
            losses.append(loss.item() / 2)
            accelerator.backward(loss)  # backward
            optimizer.step()  # step
            optimizer.zero_grad()  # clear
"""
    )
    assert [len(u.rounds) for u in played.main.updates] == [2, 2, 1] * 2
    found = [made.value for u in played.main.updates for made in u.rounds]
    assert found == pytest.approx(played.names["losses"], rel=1e-6)
    assert [played.at(u.steps[0].line) for u in played.main.updates] == ["step"] * 6
    assert [(e.number, e.first_update, e.last_update) for e in played.main.epochs] == [(1, 1, 3), (2, 4, 6)]


def test_the_hugging_face_trainer(play, tmp_path):
    pytest.importorskip("transformers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        played = play(
            f"""
import torch
from torch import nn
from transformers import Trainer, TrainingArguments
torch.manual_seed(0)
losses = []
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 1)
    def forward(self, x=None, labels=None):
        output = self.layer(x)
        loss = nn.functional.mse_loss(output, labels)  # loss
        if torch.is_grad_enabled():
            losses.append(loss.item())
        return {{"loss": loss, "logits": output}}
data = [{{"x": torch.randn(3), "labels": torch.randn(1)}} for _ in range(12)]
arguments = TrainingArguments(
    output_dir={str(tmp_path / "out")!r}, num_train_epochs=2, per_device_train_batch_size=2, report_to=[],
    gradient_accumulation_steps=2, use_cpu=True, save_strategy="no", eval_strategy="epoch", disable_tqdm=True,
    logging_strategy="no",
)
trainer = Trainer(model=Net(), args=arguments, train_dataset=data, eval_dataset=data[:4])
trainer.train()
"""
        )
    main = played.main
    assert main.update_count == 6
    assert [len(u.rounds) for u in main.updates] == [2] * 6
    found = [made.value for u in main.updates for made in u.rounds]
    assert found == pytest.approx([loss / 2 for loss in played.names["losses"]], rel=1e-6)
    assert [(e.number, e.first_update, e.last_update) for e in main.epochs] == [(1, 1, 3), (2, 4, 6)]
    assert [e.after for e in main.evaluations] == [3, 6]
    assert all(played.at(loss.line) == "loss" for u in main.updates for r in u.rounds for loss in r.losses)
