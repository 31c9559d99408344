"""Autoencoder with a stochastic bottleneck on digits, the Hugging Face Trainer doing the loop."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments


class Digits(Dataset):
    def __init__(self, x):
        self.x = x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return {"pixel_values": self.x[i]}


class StochasticAutoencoder(nn.Module):
    def __init__(self, latent=6):
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(64, 48), nn.ReLU())
        self.mu, self.log_std = nn.Linear(48, latent), nn.Linear(48, latent)
        self.dec = nn.Sequential(nn.Linear(latent, 48), nn.ReLU(), nn.Linear(48, 64))

    def forward(self, pixel_values):
        h = self.enc(pixel_values)
        mu, std = self.mu(h), torch.exp(self.log_std(h) - 1)
        if self.training:
            z = torch.distributions.Normal(mu, std).sample()  # BUG: unreached-parameters
        else:
            z = mu
        recon = self.dec(z)
        rec_loss = F.mse_loss(recon, pixel_values, reduction="sum") / len(pixel_values)
        return {"loss": rec_loss, "recon": recon}


def main():
    torch.manual_seed(0)
    x = torch.tensor(load_digits().data, dtype=torch.float32) / 8 - 1
    x = x[torch.randperm(len(x))]
    args = TrainingArguments(
        output_dir="/tmp/sae-digits", num_train_epochs=3, per_device_train_batch_size=48, per_device_eval_batch_size=256,
        learning_rate=2e-3, eval_strategy="epoch", save_strategy="no", report_to=[], use_cpu=True,
        logging_steps=10, disable_tqdm=True, remove_unused_columns=False, label_names=["pixel_values"], seed=0)
    trainer = Trainer(model=StochasticAutoencoder(), args=args, train_dataset=Digits(x[:1440]), eval_dataset=Digits(x[1440:]))
    trainer.train()
    print({k: round(v, 3) for k, v in trainer.evaluate().items() if k == "eval_loss"})


if __name__ == "__main__":
    main()
