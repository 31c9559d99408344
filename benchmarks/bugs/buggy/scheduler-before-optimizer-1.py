"""Poisson regression of event counts with an exponentially decayed learning rate."""
import torch
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(2)

# simulated counts
n = 1500
x = torch.randn(n, 6)
w = torch.tensor([0.5, -0.4, 0.3, 0.0, 0.2, -0.1])
rate = torch.exp(x @ w + 0.3 * torch.sin(2 * x[:, 0]) + 0.5)
y = torch.poisson(rate)

train_ds = TensorDataset(x[:1200], y[:1200])
test_ds = TensorDataset(x[1200:], y[1200:])
train_loader = DataLoader(train_ds, batch_size=60, shuffle=True)
test_loader = DataLoader(test_ds, batch_size=100)

model = nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 1), nn.Flatten(0))
criterion = nn.PoissonNLLLoss(log_input=True)
optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
exp_lr_scheduler = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.85)

num_epochs = 6
for epoch in range(num_epochs):
    print(f"Epoch {epoch}/{num_epochs - 1}")
    for phase in ["train", "val"]:
        if phase == "train":
            exp_lr_scheduler.step()  # BUG: scheduler-before-optimizer
            model.train()
            loader = train_loader
        else:
            model.eval()
            loader = test_loader

        running_loss = 0.0
        for inputs, counts in loader:
            optimizer.zero_grad()
            with torch.set_grad_enabled(phase == "train"):
                loss = criterion(model(inputs), counts)
                if phase == "train":
                    loss.backward()
                    optimizer.step()  # ALSO: scheduler-before-optimizer
            running_loss += loss.item() * len(inputs)
        print(f"  {phase} loss: {running_loss / len(loader.dataset):.4f}")
