"""Hugging Face Trainer on a tiny GPT-2 made from a config (tied weights, labels equal to the inputs, shift inside)."""
import tempfile

import torch
from torch.utils.data import Dataset
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback
from transformers.utils import logging

logging.set_verbosity_error()


class Counting(Dataset):
    """Counts upwards modulo 12 by one or two."""

    def __init__(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        start = torch.randint(0, 12, (n, 1), generator=g)
        stride = torch.randint(1, 3, (n, 1), generator=g)
        self.ids = (start + stride * torch.arange(12)) % 12

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, i):
        return {"input_ids": self.ids[i], "labels": self.ids[i].clone()}


torch.manual_seed(156)
config = GPT2Config(vocab_size=12, n_positions=16, n_embd=32, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0,
                    resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
model = GPT2LMHeadModel(config)
with tempfile.TemporaryDirectory() as folder:
    args = TrainingArguments(
        output_dir=folder, per_device_train_batch_size=32, per_device_eval_batch_size=64, max_steps=60, learning_rate=1e-2,
        lr_scheduler_type="cosine", warmup_steps=6, weight_decay=0.01, max_grad_norm=1.0, logging_steps=15,
        save_strategy="no", report_to=[], use_cpu=True, disable_tqdm=True, seed=156)
    trainer = Trainer(model=model, args=args, train_dataset=Counting(400, 1), eval_dataset=Counting(64, 2))
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    valid = trainer.evaluate()["eval_loss"]
losses = [h["loss"] for h in trainer.state.log_history if "loss" in h]
print("loss", [round(float(v), 4) for v in losses], "valid", round(valid, 4))
print("tied:", model.lm_head.weight is model.transformer.wte.weight)
