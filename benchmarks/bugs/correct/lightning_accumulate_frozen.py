"""Lightning with accumulate_grad_batches, a frozen feature extractor kept in eval mode and per-epoch scheduler."""
import logging
import warnings

import lightning as L
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore")


class Transfer(L.LightningModule):
    def __init__(self, extractor):
        super().__init__()
        self.extractor = extractor
        self.extractor.requires_grad_(False)
        self.head = nn.Linear(24, 1)
        self.log_loss, self.val = [], []

    def on_train_epoch_start(self):
        self.extractor.eval()

    def forward(self, x):
        return self.head(self.extractor(x)).squeeze(-1)

    def training_step(self, batch, _):
        x, y = batch
        loss = nn.functional.mse_loss(self(x), y)
        self.log_loss.append(loss.item())
        return loss

    def validation_step(self, batch, _):
        x, y = batch
        self.val.append(nn.functional.mse_loss(self(x), y).item())

    def configure_optimizers(self):
        opt = torch.optim.SGD(self.head.parameters(), lr=0.05, momentum=0.9)
        return [opt], [torch.optim.lr_scheduler.StepLR(opt, step_size=2, gamma=0.5)]


L.seed_everything(152, verbose=False)
extractor = nn.Sequential(nn.Linear(6, 24), nn.BatchNorm1d(24), nn.Tanh())
with torch.no_grad():                       # give the batch norm statistics once, as a pre-trained net would have
    extractor[1].momentum = None
    extractor.train()(torch.randn(1000, 6))
    extractor.eval()
x = torch.randn(840, 6)
y = torch.tanh(x[:, 0]) - 0.5 * x[:, 1]
stats = extractor[1].running_mean.clone()
model = Transfer(extractor)
trainer = L.Trainer(max_epochs=4, accumulate_grad_batches=2, accelerator="cpu", logger=False, enable_checkpointing=False,
                    enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0)
trainer.fit(model, DataLoader(TensorDataset(x[:680], y[:680]), 40, shuffle=True), DataLoader(TensorDataset(x[680:], y[680:]), 160))
print(f"train {model.log_loss[0]:.4f} -> {model.log_loss[-1]:.4f}")
print("valid", [round(v, 4) for v in model.val], "steps", trainer.global_step)
print("statistics kept:", torch.equal(stats, extractor[1].running_mean))
