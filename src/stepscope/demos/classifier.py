"""64 samples of 10 features, a linear layer to 3 classes, cross-entropy, SGD, five epochs."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)

features = torch.randn(64, 10)
labels = (features @ torch.randn(10, 3)).argmax(dim=1)  # classes that a linear model can tell apart
batches = DataLoader(TensorDataset(features, labels), batch_size=64, shuffle=True)

model = nn.Linear(10, 3)
loss_function = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)

for epoch in range(5):
    for batch, targets in batches:
        optimizer.zero_grad()
        logits = model(batch)
        loss = loss_function(logits, targets)
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch + 1}: loss {loss.item():.4f}")
