"""Digits multi-layer perceptron written by somebody who comes from Keras."""
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)

# ---- data
x, y = load_digits(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(x / 16.0, y, test_size=0.2, random_state=42)
train_data = TensorDataset(torch.tensor(x_train, dtype=torch.float32), torch.tensor(y_train))
test_data = TensorDataset(torch.tensor(x_test, dtype=torch.float32), torch.tensor(y_test))

# ---- model
model = nn.Sequential(
    nn.Linear(64, 64),
    nn.ReLU(),
    nn.Dropout(0.1),
    nn.Linear(64, 10),
    nn.Softmax(dim=1),  # ALSO: double-softmax
)
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

# ---- fit
train_loader = DataLoader(train_data, batch_size=48, shuffle=True)
test_loader = DataLoader(test_data, batch_size=360)
for epoch in range(1, 6):
    model.train()
    sum_loss, sum_hits = 0.0, 0
    for xb, yb in train_loader:
        prob = model(xb)
        loss = loss_fn(prob, yb)  # BUG: double-softmax
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sum_loss += loss.item() * len(xb)
        sum_hits += (prob.argmax(1) == yb).sum().item()
    model.eval()
    with torch.no_grad():
        val_hits = sum((model(xb).argmax(1) == yb).sum().item() for xb, yb in test_loader)
    print(f"Epoch {epoch}/5 - loss: {sum_loss / len(train_data):.4f} - acc: {sum_hits / len(train_data):.4f}"
          f" - val_acc: {val_hits / len(test_data):.4f}")
