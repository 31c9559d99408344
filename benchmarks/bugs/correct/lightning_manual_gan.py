"""Lightning manual optimization of a GAN: two optimizers, toggled parameters, manual_backward."""
import logging
import warnings

import lightning as L
import torch
import torch.nn as nn
from torch.utils.data import DataLoader

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore")


class GAN(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.generator = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 2))
        self.discriminator = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
        self.bce = nn.BCEWithLogitsLoss()
        self.rows = []

    def training_step(self, real, batch_idx):
        opt_g, opt_d = self.optimizers()
        z = torch.randn(len(real), 2)
        ones, zeros = torch.ones(len(real), 1), torch.zeros(len(real), 1)

        self.toggle_optimizer(opt_g)
        g_loss = self.bce(self.discriminator(self.generator(z)), ones)
        opt_g.zero_grad()
        self.manual_backward(g_loss)
        opt_g.step()
        self.untoggle_optimizer(opt_g)

        self.toggle_optimizer(opt_d)
        d_loss = (self.bce(self.discriminator(real), ones) + self.bce(self.discriminator(self.generator(z).detach()), zeros)) / 2
        opt_d.zero_grad()
        self.manual_backward(d_loss)
        opt_d.step()
        self.untoggle_optimizer(opt_d)
        self.rows.append((g_loss.item(), d_loss.item()))

    def configure_optimizers(self):
        return (torch.optim.Adam(self.generator.parameters(), 1e-3, betas=(0.5, 0.999)),
                torch.optim.Adam(self.discriminator.parameters(), 1e-3, betas=(0.5, 0.999)))


L.seed_everything(151, verbose=False)
data = torch.randn(1600, 2) * 0.3 + torch.tensor([1.5, -1.0])
model = GAN()
trainer = L.Trainer(max_epochs=5, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
trainer.fit(model, DataLoader(data, batch_size=40, shuffle=True))
with torch.no_grad():
    mean = model.generator(torch.randn(500, 2)).mean(0)
for k in (0, 100, 199):
    print(f"batch {k}: G {model.rows[k][0]:.4f} D {model.rows[k][1]:.4f}")
print("mean of samples", [round(v, 2) for v in mean.tolist()])
