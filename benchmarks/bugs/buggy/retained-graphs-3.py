"""Lightning: word-tagger that reports the mean training loss at the end of every epoch."""
import lightning as L
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

VOCAB, TAGS, LEN = 30, 4, 12


def tagged(n, g):
    x = torch.randint(0, VOCAB, (n, LEN), generator=g)
    prev = F.pad(x, (1, 0))[:, :-1]
    return TensorDataset(x, (x + (prev > 15).long()) % TAGS)


class LitTagger(L.LightningModule):
    def __init__(self, d=24, lr=5e-3):
        super().__init__()
        self.lr = lr
        self.emb = nn.Embedding(VOCAB, d)
        self.rnn = nn.LSTM(d, d, batch_first=True)
        self.fc = nn.Linear(d, TAGS)
        self.training_losses = []

    def forward(self, x):
        return self.fc(self.rnn(self.emb(x))[0])

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x).transpose(1, 2), y)
        self.training_losses.append(loss)  # BUG: retained-graphs
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_acc", (self(x).argmax(-1) == y).float().mean())

    def on_train_end(self):
        losses = torch.stack(self.training_losses)
        print(f"mean loss of the run {losses.mean().item():.4f}, of the last ten steps {losses[-10:].mean().item():.4f}")

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.lr)


if __name__ == "__main__":
    L.seed_everything(0, verbose=False)
    g = torch.Generator().manual_seed(0)
    trainer = L.Trainer(max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False,
                        enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(LitTagger(), DataLoader(tagged(960, g), batch_size=32, shuffle=True), DataLoader(tagged(200, g), batch_size=100))
    print("val acc", round(trainer.callback_metrics["val_acc"].item(), 3))
