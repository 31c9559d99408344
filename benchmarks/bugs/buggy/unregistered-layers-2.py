"""Lightning: recommender with a separate tower for every categorical feature."""
import lightning as L
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

CARDINALITIES = {"user": 50, "item": 40, "daytime": 4, "device": 3}


class ClickModel(L.LightningModule):
    def __init__(self, cardinalities, dim=8, lr=5e-3):
        super().__init__()
        self.lr = lr
        self.names = list(cardinalities)
        self.embeddings = {name: nn.Embedding(n, dim) for name, n in cardinalities.items()}  # BUG: unregistered-layers
        self.mlp = nn.Sequential(nn.Linear(dim * len(cardinalities), 32), nn.ReLU(), nn.Linear(32, 1))
        self.loss_fn = nn.BCEWithLogitsLoss()

    def forward(self, x):
        vectors = [self.embeddings[name](x[:, i]) for i, name in enumerate(self.names)]
        return self.mlp(torch.cat(vectors, dim=1)).squeeze(1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = self.loss_fn(self(x), y)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        logits = self(x)
        self.log("val_loss", self.loss_fn(logits, y))
        self.log("val_acc", ((logits > 0) == y.bool()).float().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.lr)


def clicks(n, g):
    grid = torch.cartesian_prod(*[torch.arange(c) for c in CARDINALITIES.values()])
    x = grid[torch.randperm(len(grid), generator=g)[:n]]
    taste = torch.sin(x[:, 0].float() * 1.7) * torch.cos(x[:, 1].float() * 2.3) + 0.5 * (x[:, 2] == 1).float()
    y = (taste + 0.2 * torch.randn(n, generator=g) > 0.1).float()
    return TensorDataset(x, y)


if __name__ == "__main__":
    L.seed_everything(1, verbose=False)
    g = torch.Generator().manual_seed(1)
    train_set, val_set = random_split(clicks(2000, g), [1600, 400])
    train = DataLoader(train_set, batch_size=40, shuffle=True)
    val = DataLoader(val_set, batch_size=200)
    trainer = L.Trainer(max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False,
                        enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(ClickModel(CARDINALITIES), train, val)
    print({k: round(float(v), 4) for k, v in trainer.callback_metrics.items()})
