"""GradScaler with two optimizers and accumulation: unscale_ once per optimizer, only when the window is full."""
import torch
from torch import nn
from torch.nn.functional import mse_loss

torch.manual_seed(96)
encoder = nn.Sequential(nn.Linear(12, 32), nn.Tanh(), nn.Linear(32, 3))
decoder = nn.Sequential(nn.Linear(3, 32), nn.Tanh(), nn.Linear(32, 12))
opt_e = torch.optim.SGD(encoder.parameters(), lr=0.3, momentum=0.9)
opt_d = torch.optim.Adam(decoder.parameters(), lr=5e-3)
scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
mix = torch.randn(3, 12)


def sample(n):
    return torch.tanh(torch.randn(n, 3) @ mix)


K = 2
valid = sample(300)
history = []
for step in range(100):
    window = 0.0
    for _ in range(K):
        x = sample(48)
        with torch.autocast("cpu", dtype=torch.float16):
            code = encoder(x)
            loss = mse_loss(decoder(code).float(), x) / K
        scaler.scale(loss).backward()
        window += loss.item()
    for opt, net in ((opt_e, encoder), (opt_d, decoder)):
        scaler.unscale_(opt)
        nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        scaler.step(opt)
    scaler.update()
    for opt in (opt_e, opt_d):
        opt.zero_grad()
    history.append(window)
with torch.no_grad():
    v = mse_loss(decoder(encoder(valid)), valid).item()
print("reconstruction", [round(history[k], 3) for k in (0, 30, 60, 99)], "valid", round(v, 3), "scale", scaler.get_scale())
