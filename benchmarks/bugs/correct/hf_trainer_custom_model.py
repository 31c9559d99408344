"""Hugging Face Trainer with a custom nn.Module and dataset, linear warm-up (first rate 0) and accumulation over 2 batches."""
import tempfile

import torch
import torch.nn as nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback
from transformers.utils import logging

logging.set_verbosity_error()


class Parity(Dataset):
    """Which of two marked tokens is larger?"""

    def __init__(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        self.x = torch.randint(0, 16, (n, 4), generator=g)
        self.y = (self.x[:, 0] > self.x[:, 2]).long()

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return {"input_ids": self.x[i], "labels": self.y[i]}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(16, 12)
        self.body = nn.Sequential(nn.Linear(48, 48), nn.ReLU(), nn.Dropout(0.05), nn.Linear(48, 2))

    def forward(self, input_ids, labels=None):
        logits = self.body(self.embed(input_ids).flatten(1))
        out = {"logits": logits}
        if labels is not None:
            out["loss"] = nn.functional.cross_entropy(logits, labels)
        return out


def accuracy(pred):
    return {"accuracy": float((pred.predictions.argmax(-1) == pred.label_ids).mean())}


def main():
    with tempfile.TemporaryDirectory() as folder:
        args = TrainingArguments(
            output_dir=folder, per_device_train_batch_size=16, gradient_accumulation_steps=2, num_train_epochs=4,
            learning_rate=1e-2, warmup_steps=5, lr_scheduler_type="linear", logging_steps=10, eval_strategy="epoch",
            save_strategy="no", report_to=[], use_cpu=True, disable_tqdm=True, seed=155, weight_decay=0.0)
        torch.manual_seed(155)
        trainer = Trainer(model=Net(), args=args, train_dataset=Parity(640, 1), eval_dataset=Parity(160, 2), compute_metrics=accuracy)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        losses = [h["loss"] for h in trainer.state.log_history if "loss" in h]
        accs = [h["eval_accuracy"] for h in trainer.state.log_history if "eval_accuracy" in h]
    print("loss", [round(float(v), 4) for v in losses])
    print("accuracy", [round(float(v), 4) for v in accs], "steps", trainer.state.global_step)


if __name__ == "__main__":
    main()
