"""Lightning: convolutional classifier of hand-drawn strokes with class probabilities as output."""
import lightning as L
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


def strokes(n, g, size=10):
    y = torch.randint(0, 4, (n,), generator=g)
    x = 0.3 * torch.randn(n, 1, size, size, generator=g)
    for i in range(n):
        k = int(torch.randint(1, size - 1, (1,), generator=g))
        if y[i] == 0:
            x[i, 0, k] += 1
        elif y[i] == 1:
            x[i, 0, :, k] += 1
        elif y[i] == 2:
            x[i, 0].diagonal(k - size // 2).add_(1)
        else:
            x[i, 0].flip(1).diagonal(k - size // 2).add_(1)
            x[i, 0] = x[i, 0].roll(1, 0)
    return TensorDataset(x, y)


class StrokeNet(L.LightningModule):
    def __init__(self, channels=12, classes=4, lr=3e-3):
        super().__init__()
        self.save_hyperparameters()
        self.conv1 = nn.Conv2d(1, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.fc = nn.Linear(channels * 4, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.adaptive_max_pool2d(F.relu(self.conv2(x)), 2)
        return F.softmax(self.fc(x.flatten(1)), dim=-1)  # ALSO: double-softmax

    def _shared(self, batch, stage):
        x, y = batch
        y_hat = self(x)
        loss = F.cross_entropy(y_hat, y)  # BUG: double-softmax
        self.log(f"{stage}_loss", loss)
        self.log(f"{stage}_acc", (y_hat.argmax(1) == y).float().mean())
        return loss

    def training_step(self, batch, batch_idx):
        return self._shared(batch, "train")

    def validation_step(self, batch, batch_idx):
        self._shared(batch, "val")

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)


if __name__ == "__main__":
    L.seed_everything(0, verbose=False)
    g = torch.Generator().manual_seed(0)
    train, val = DataLoader(strokes(960, g), batch_size=32, shuffle=True), DataLoader(strokes(240, g), batch_size=120)
    trainer = L.Trainer(max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False,
                        enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(StrokeNet(), train, val)
    print({k: round(float(v), 3) for k, v in trainer.callback_metrics.items()})
