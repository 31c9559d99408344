"""Fits sums of sines with LBFGS whose closure re-evaluates the full batch several times per step."""
import torch
import torch.nn as nn

torch.manual_seed(20)
torch.set_default_dtype(torch.float64)

t = torch.linspace(0, 4, 160).unsqueeze(1)
signal = torch.sin(2 * t) + 0.3 * torch.cos(5 * t)
train_t, train_s = t[::2], signal[::2]
test_t, test_s = t[1::2], signal[1::2]

model = nn.Sequential(nn.Linear(1, 20), nn.Tanh(), nn.Linear(20, 20), nn.Tanh(), nn.Linear(20, 1))
criterion = nn.MSELoss()
optimizer = torch.optim.LBFGS(model.parameters(), lr=0.8, max_iter=8, history_size=20, line_search_fn="strong_wolfe")

calls = 0
for i in range(15):
    def closure():
        global calls
        calls += 1
        optimizer.zero_grad()
        loss = criterion(model(train_t), train_s)
        loss.backward()
        return loss

    loss = optimizer.step(closure)
    if i % 7 == 0:
        with torch.no_grad():
            print(f"STEP {i}: train {loss.item():.6f} test {criterion(model(test_t), test_s).item():.6f}")
print("closure evaluations per step > 1:", calls > 15)
