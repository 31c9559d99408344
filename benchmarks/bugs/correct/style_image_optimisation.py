"""Feature inversion: the trained tensor is an image; the network is frozen, in eval mode, and owned by nobody."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits

torch.manual_seed(73)
images = torch.tensor(load_digits().images / 16 - 0.3, dtype=torch.float32).unsqueeze(1)
labels = torch.tensor(load_digits().target)

cnn = nn.Sequential(
    nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
    nn.Conv2d(8, 16, 3, padding=1, stride=2), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(256, 10))
opt = torch.optim.Adam(cnn.parameters(), lr=5e-3)
for idx in torch.randperm(1600).split(80):
    opt.zero_grad()
    F.cross_entropy(cnn(images[idx]), labels[idx]).backward()
    opt.step()

cnn.eval()
cnn.requires_grad_(False)
features = cnn[:6]
content, style = images[1700:1701], images[1750:1751]


def gram(f):
    f = f.flatten(2)
    return f @ f.transpose(1, 2) / f.shape[-1]


wanted_content, wanted_gram = features(content), gram(features[:3](style))
picture = content.clone().add_(0.3 * torch.randn_like(content)).requires_grad_(True)
image_opt = torch.optim.Adam([picture], lr=0.05)
trace = []
for step in range(60):
    image_opt.zero_grad()
    loss = F.mse_loss(features(picture), wanted_content) + 5.0 * F.mse_loss(gram(features[:3](picture)), wanted_gram)
    loss.backward()
    image_opt.step()
    with torch.no_grad():
        picture.clamp_(-0.3, 0.7)
    trace.append(loss.item())

with torch.no_grad():
    same = cnn(picture).argmax(1).item() == cnn(content).argmax(1).item()
print("loss", [round(trace[k], 5) for k in (0, 20, 40, 59)], "class kept:", same)
