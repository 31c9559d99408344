"""Lightning data module with digits sorted by label on disk."""
import lightning as L
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset


class DigitsData(L.LightningDataModule):
    def __init__(self, batch_size=48):
        super().__init__()
        self.batch_size = batch_size

    def setup(self, stage):
        d = load_digits()
        order = d.target.argsort(kind="stable")              # like one folder per class
        x = torch.tensor(d.images[order], dtype=torch.float32).unsqueeze(1) / 16
        y = torch.tensor(d.target[order])
        is_val = torch.arange(len(y)) % 5 == 0
        self.train_set = TensorDataset(x[~is_val], y[~is_val])
        self.val_set = TensorDataset(x[is_val], y[is_val])

    def train_dataloader(self):
        return DataLoader(self.train_set, batch_size=self.batch_size)  # BUG: unshuffled-training-data

    def val_dataloader(self):
        return DataLoader(self.val_set, batch_size=180)


class ConvClassifier(L.LightningModule):
    def __init__(self, lr=2e-3):
        super().__init__()
        self.lr = lr
        self.net = nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(96, 10))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_acc", (self.net(x).argmax(1) == y).float().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.lr)


if __name__ == "__main__":
    L.seed_everything(0, verbose=False)
    trainer = L.Trainer(max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False,
                        enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(ConvClassifier(), datamodule=DigitsData())  # ALSO: unshuffled-training-data
    print({k: round(float(v), 4) for k, v in trainer.callback_metrics.items()})
