"""Wine classifier whose loop clears through the module after the step, and once more before backward."""
import torch
import torch.nn as nn
from sklearn.datasets import load_wine
from sklearn.preprocessing import StandardScaler

torch.manual_seed(5)
data = load_wine()
perm = torch.randperm(len(data.target))
train_idx, test_idx = perm[:130], perm[130:]
scaler = StandardScaler().fit(data.data[train_idx.numpy()])
X = torch.tensor(scaler.transform(data.data), dtype=torch.float32)
Y = torch.tensor(data.target)


class Net(nn.Module):
    def __init__(self, d_in, d_out):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(d_in, 32), nn.GELU(), nn.LayerNorm(32))
        self.out = nn.Linear(32, d_out)

    def forward(self, x):
        return self.out(self.body(x))


net = Net(13, 3)
opt = torch.optim.RMSprop(net.parameters(), lr=2e-3)
loss_fn = nn.CrossEntropyLoss()

for epoch in range(8):
    order = train_idx[torch.randperm(len(train_idx))]
    running = 0.0
    for idx in order.split(26):
        logits = net(X[idx])
        loss = loss_fn(logits, Y[idx])
        net.zero_grad()            # nothing left here after the first batch, harmless
        loss.backward()
        opt.step()
        net.zero_grad()
        opt.zero_grad()
        running += loss.item() * len(idx)
    if epoch in (0, 7):
        print(f"epoch {epoch} train loss {running / len(order):.4f}")

net.eval()
with torch.no_grad():
    print("test accuracy", round((net(X[test_idx]).argmax(1) == Y[test_idx]).float().mean().item(), 4))
