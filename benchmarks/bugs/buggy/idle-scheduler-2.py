"""Lightning: autoencoder with cosine decay of the learning rate."""
import lightning as L
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader


class LitAutoEncoder(L.LightningModule):
    def __init__(self, lr=4e-3, max_epochs=5):
        super().__init__()
        self.save_hyperparameters()
        self.encoder = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 6))
        self.decoder = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 64))

    def forward(self, x):
        return self.decoder(self.encoder(x))

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self(batch), batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", F.mse_loss(self(batch), batch))

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=self.hparams.lr)
        self.scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=self.hparams.max_epochs)  # BUG: idle-scheduler
        return optimizer  # ALSO: idle-scheduler


def main():
    L.seed_everything(5, verbose=False)
    x = torch.tensor(load_digits().data, dtype=torch.float32) / 8 - 1
    x = x[torch.randperm(len(x))]
    train, val = x[:1440], x[1440:]
    model = LitAutoEncoder()
    trainer = L.Trainer(max_epochs=model.hparams.max_epochs, accelerator="cpu", logger=False,
                        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(model, DataLoader(train, batch_size=48, shuffle=True), DataLoader(val, batch_size=357))
    print("final lr", trainer.optimizers[0].param_groups[0]["lr"], "val", trainer.callback_metrics["val_loss"].item())


if __name__ == "__main__":
    main()
