"""Lightning module on digits with automatic optimization, a per-step OneCycle schedule and validation."""
import logging
import warnings

import lightning as L
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset, random_split

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore")


class Classifier(L.LightningModule):
    def __init__(self, lr, total_steps):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Linear(12, 48), nn.ReLU(), nn.Dropout(0.1), nn.Linear(48, 4))
        self.history = {"train": [], "valid": []}

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = nn.functional.cross_entropy(self(x), y)
        self.history["train"].append(loss.item())
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        out = self(x)
        self.history["valid"].append((out.argmax(1) == y).float().mean().item())
        self.log("val_loss", nn.functional.cross_entropy(out, y))

    def configure_optimizers(self):
        opt = torch.optim.AdamW(self.parameters(), lr=self.hparams.lr / 25, weight_decay=0.0)
        sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=self.hparams.lr, total_steps=self.hparams.total_steps)
        return {"optimizer": opt, "lr_scheduler": {"scheduler": sched, "interval": "step"}}


def main():
    L.seed_everything(150, verbose=False)
    centres = torch.randn(4, 12)
    y = torch.randint(0, 4, (1000,))
    x = centres[y] + torch.randn(1000, 12)
    train, valid = random_split(TensorDataset(x, y), [800, 200])
    model = Classifier(lr=2e-2, total_steps=48)
    trainer = L.Trainer(max_epochs=3, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
                        enable_progress_bar=False, enable_model_summary=False, gradient_clip_val=1.0)
    trainer.fit(model, DataLoader(train, 50, shuffle=True), DataLoader(valid, 200))
    t, v = model.history["train"], model.history["valid"]
    print(f"train {t[0]:.4f} -> {sum(t[-5:]) / 5:.4f}")
    print("valid accuracy", [round(a, 4) for a in v[1:]], "steps", trainer.global_step)


if __name__ == "__main__":
    main()
