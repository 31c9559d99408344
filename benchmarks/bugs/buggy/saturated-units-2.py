"""Gated (highway) network with a temperature, for the two-moons data in higher dimensions; Lightning."""
import lightning as L
import torch
import torch.nn.functional as F
from sklearn.datasets import make_moons
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class HighwayLayer(nn.Module):
    def __init__(self, dim, temperature=0.01):
        super().__init__()
        self.transform = nn.Linear(dim, dim)
        self.gate = nn.Linear(dim, dim)
        self.temperature = temperature  # ALSO: saturated-units

    def forward(self, x):
        g = torch.sigmoid(self.gate(x) / self.temperature)  # BUG: saturated-units
        return g * F.relu(self.transform(x)) + (1 - g) * x


class HighwayClassifier(L.LightningModule):
    def __init__(self, d_in, dim=32, layers=3):
        super().__init__()
        self.inp = nn.Linear(d_in, dim)
        self.layers = nn.Sequential(*[HighwayLayer(dim) for _ in range(layers)])
        self.out = nn.Linear(dim, 2)

    def forward(self, x):
        return self.out(self.layers(self.inp(x)))

    def training_step(self, batch, _):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_epoch=True, on_step=False)
        return loss

    def validation_step(self, batch, _):
        x, y = batch
        self.log("val_acc", (self(x).argmax(1) == y).float().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class MoonData(L.LightningDataModule):
    def setup(self, stage=None):
        X, y = make_moons(1600, noise=0.1, random_state=0)
        X = (X - X[:1280].mean(0)) / X[:1280].std(0)
        lift = torch.randn(2, 10, generator=torch.Generator().manual_seed(0)) / 2 ** 0.5
        X, y = torch.tensor(X, dtype=torch.float32) @ lift, torch.tensor(y)
        self.train_set, self.val_set = TensorDataset(X[:1280], y[:1280]), TensorDataset(X[1280:], y[1280:])

    def train_dataloader(self):
        return DataLoader(self.train_set, batch_size=40, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.val_set, batch_size=160)


if __name__ == "__main__":
    L.seed_everything(0, verbose=False)
    trainer = L.Trainer(max_epochs=4, accelerator="cpu", logger=False, enable_checkpointing=False,
                        enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(HighwayClassifier(10), datamodule=MoonData())
    print({k: round(float(v), 4) for k, v in trainer.callback_metrics.items()})
