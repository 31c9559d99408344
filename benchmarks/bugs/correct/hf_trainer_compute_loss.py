"""Trainer subclass whose compute_loss distils a frozen eval-mode teacher into a small student; two decay groups."""
import tempfile

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback
from transformers.utils import logging

logging.set_verbosity_error()
W = torch.randn(8, 3, generator=torch.Generator().manual_seed(5)) * 1.5


class Points(Dataset):
    def __init__(self, n, seed):
        self.x = torch.randn(n, 8, generator=torch.Generator().manual_seed(seed))
        self.y = (self.x @ W).argmax(1)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return {"features": self.x[i], "labels": self.y[i]}


class Student(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.fc1, self.fc2 = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(24, 3)

    def forward(self, features, labels=None):
        return {"logits": self.fc2(F.relu(self.fc1(self.norm(features))))}


class Teacher(nn.Module):
    def forward(self, features):
        return features @ W


class DistilTrainer(Trainer):
    def __init__(self, *args, teacher, **kwargs):
        super().__init__(*args, **kwargs)
        self.teacher = teacher.eval()

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        labels = inputs["labels"]
        out = model(**inputs)
        with torch.no_grad():
            soft = self.teacher(inputs["features"]).softmax(-1)
        kd = F.kl_div(out["logits"].log_softmax(-1), soft, reduction="batchmean")
        loss = 0.5 * kd + 0.5 * F.cross_entropy(out["logits"], labels)
        return (loss, out) if return_outputs else loss


with tempfile.TemporaryDirectory() as folder:
    args = TrainingArguments(output_dir=folder, per_device_train_batch_size=32, num_train_epochs=4, learning_rate=1e-2, weight_decay=0.01,
                             lr_scheduler_type="constant", logging_steps=20, save_strategy="no", report_to=[], use_cpu=True,
                             disable_tqdm=True, seed=195, remove_unused_columns=False)
    torch.manual_seed(195)
    trainer = DistilTrainer(model=Student(), teacher=Teacher(), args=args, train_dataset=Points(640, 1), eval_dataset=Points(200, 2))
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    valid = trainer.evaluate()["eval_loss"]
losses = [h["loss"] for h in trainer.state.log_history if "loss" in h]
print("loss", [round(float(v), 4) for v in losses], "valid", round(valid, 4))
