"""Energy-demand regression from weather features; features are standardised."""
import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

rng = np.random.default_rng(0)
torch.manual_seed(0)

# simulated weather records
n = 1600
temperature = rng.normal(12, 8, n)
humidity = rng.uniform(30, 95, n)
wind = rng.gamma(2.0, 2.5, n)
hour = rng.integers(0, 24, n)
demand = (0.03 * (temperature - 18) ** 2 + 0.02 * humidity - 0.1 * wind
          + 3 * np.sin(hour / 24 * 2 * np.pi) + rng.normal(0, 0.5, n))
features = np.column_stack([temperature, humidity, wind, np.sin(hour / 24 * 2 * np.pi), np.cos(hour / 24 * 2 * np.pi)])

cut = 1280
scaler = StandardScaler()
target_mean, target_std = demand[:cut].mean(), demand[:cut].std()
X_train = scaler.fit_transform(features[:cut])
X_val = features[cut:]  # ALSO: mismatched-preprocessing
y_train = (demand[:cut] - target_mean) / target_std
y_val = (demand[cut:] - target_mean) / target_std

as_dataset = lambda X, y: TensorDataset(torch.tensor(X, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)[:, None])
train_loader = DataLoader(as_dataset(X_train, y_train), batch_size=40, shuffle=True)
val_loader = DataLoader(as_dataset(X_val, y_val), batch_size=160)

model = nn.Sequential(nn.Linear(5, 48), nn.ReLU(), nn.Linear(48, 24), nn.ReLU(), nn.Linear(24, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
loss_fn = nn.MSELoss()

for epoch in range(4):
    model.train()
    train_loss = 0.0
    for X, y in train_loader:
        optimizer.zero_grad()
        loss = loss_fn(model(X), y)
        loss.backward()
        optimizer.step()
        train_loss += loss.item()
    model.eval()
    val_loss = 0.0
    with torch.no_grad():
        for X, y in val_loader:
            val_loss += loss_fn(model(X), y).item()  # BUG: mismatched-preprocessing
    print(f"epoch {epoch}: train {train_loss / len(train_loader):.4f} val {val_loss / len(val_loader):.4f}")
