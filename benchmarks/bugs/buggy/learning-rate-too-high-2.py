"""Lightning: transformer encoder that classifies which motif is hidden in a token sequence."""
import lightning as L
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

VOCAB, LEN, CLASSES = 16, 20, 5


def motif_data(n, g):
    motifs = torch.tensor([[1, 5, 9], [2, 6, 10], [3, 7, 11], [4, 8, 12], [13, 14, 15]])
    x = torch.randint(0, VOCAB, (n, LEN), generator=g)
    y = torch.randint(0, CLASSES, (n,), generator=g)
    at = torch.randint(0, LEN - 3, (n,), generator=g)
    for i in range(n):
        x[i, at[i]:at[i] + 3] = motifs[y[i]]
    return TensorDataset(x, y)


class MotifClassifier(L.LightningModule):
    def __init__(self, d_model=32, nhead=4, lr=0.3):
        super().__init__()
        self.save_hyperparameters()
        self.embed = nn.Embedding(VOCAB, d_model)
        self.pos = nn.Parameter(0.02 * torch.randn(LEN, d_model))
        layer = nn.TransformerEncoderLayer(d_model, nhead, 64, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(d_model, CLASSES)

    def forward(self, x):
        return self.head(self.encoder(self.embed(x) + self.pos).mean(1))

    def training_step(self, batch, batch_idx):  # ALSO: learning-rate-too-high
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        logits = self(x)
        self.log_dict({"val_loss": F.cross_entropy(logits, y), "val_acc": (logits.argmax(1) == y).float().mean()})

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=self.hparams.lr)  # BUG: learning-rate-too-high


if __name__ == "__main__":
    L.seed_everything(0, verbose=False)
    g = torch.Generator().manual_seed(0)
    train_loader = DataLoader(motif_data(960, g), batch_size=32, shuffle=True)
    val_loader = DataLoader(motif_data(200, g), batch_size=100)
    trainer = L.Trainer(max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False,
                        enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(MotifClassifier(), train_loader, val_loader)
    print({k: round(float(v), 4) for k, v in trainer.callback_metrics.items()})
