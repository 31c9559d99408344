"""Denoising autoencoder on the digits images, in notebook cells."""
# %% [markdown]
# # Denoising autoencoder on digits
# Effective batch size of 64 through gradient accumulation (4 x 16).

# %%
import torch
from torch import nn
from torch.utils.data import DataLoader
from sklearn.datasets import load_digits

torch.manual_seed(42)
ACCUM = 4
EPOCHS = 5

# %%
X = torch.tensor(load_digits().data, dtype=torch.float32) / 16
perm = torch.randperm(len(X))
X_train, X_val = X[perm[:1408]], X[perm[1408:]]
loader = DataLoader(X_train, batch_size=16, shuffle=True, drop_last=True)
print(X_train.shape, X_val.shape, len(loader), "micro-batches")

# %%
model = nn.Sequential(
    nn.Linear(64, 48), nn.ReLU(),
    nn.Linear(48, 16), nn.ReLU(),
    nn.Linear(16, 48), nn.ReLU(),
    nn.Linear(48, 64), nn.Sigmoid(),
)
mse = nn.MSELoss()
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-4)

# %%
history = []
for epoch in range(EPOCHS):
    model.train()
    epoch_loss = 0.0
    for step, clean in enumerate(loader):
        optimizer.zero_grad()  # BUG: discarded-gradients
        noisy = (clean + 0.2 * torch.randn_like(clean)).clamp(0, 1)
        loss = mse(model(noisy), clean) / ACCUM
        loss.backward()
        if (step + 1) % ACCUM == 0:
            optimizer.step()
        epoch_loss += loss.item() * ACCUM
    history.append(epoch_loss / len(loader))

    model.eval()
    with torch.no_grad():
        val_loss = mse(model(X_val), X_val).item()
    print(f"epoch {epoch}: train {history[-1]:.4f}  val {val_loss:.4f}")

# %%
print("best epoch:", min(range(EPOCHS), key=history.__getitem__))
