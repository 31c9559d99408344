"""Lightning module with manual optimization: variational autoencoder on two moons."""
import lightning as L
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import make_moons
from torch.utils.data import DataLoader, TensorDataset


class MoonVAE(L.LightningModule):
    def __init__(self, latent=2, beta=0.05, lr=3e-3):
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.encoder = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, 32), nn.ReLU(), nn.Linear(32, 2))

    def elbo(self, x):
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp()
        recon = F.mse_loss(self.decoder(z), x)
        kl = -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum(1).mean()
        return recon + self.hparams.beta * kl

    def training_step(self, batch, batch_idx):
        opt = self.optimizers()
        (x,) = batch
        loss = self.elbo(x)
        opt.zero_grad()
        self.manual_backward(loss)  # BUG: gradients-never-applied
        self.log("train_loss", loss)

    def validation_step(self, batch, batch_idx):
        (x,) = batch
        mu, _ = self.encoder(x).chunk(2, dim=1)
        self.log("val_recon", F.mse_loss(self.decoder(mu), x))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)


def main():
    L.seed_everything(2, verbose=False)
    X, _ = make_moons(1500, noise=0.05, random_state=2)
    X = torch.tensor((X - X[:1200].mean(0)) / X[:1200].std(0), dtype=torch.float32)
    train = DataLoader(TensorDataset(X[:1200]), batch_size=64, shuffle=True)
    val = DataLoader(TensorDataset(X[1200:]), batch_size=300)
    trainer = L.Trainer(max_epochs=5, accelerator="cpu", logger=False, enable_checkpointing=False,
                        enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(MoonVAE(), train, val)
    print({k: round(v.item(), 4) for k, v in trainer.callback_metrics.items()})


if __name__ == "__main__":
    main()
