"""Style-transfer-like feature matching: a generator is trained against a fixed feature extractor."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits


class FeatureNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1), nn.ReLU())
        self.fc = nn.Linear(16 * 4, 10)

    def forward(self, x):
        return self.fc(F.adaptive_avg_pool2d(self.features(x), 2).flatten(1))


class Denoiser(nn.Module):
    def __init__(self, extractor):
        super().__init__()
        self.extractor = extractor
        self.net = nn.Sequential(nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 1, 3, padding=1))

    def forward(self, noisy, clean):
        restored = noisy + self.net(noisy)
        perceptual = F.mse_loss(self.extractor(restored), self.extractor(clean))
        return restored, F.mse_loss(restored, clean) + 0.5 * perceptual


class Trainer:
    def __init__(self):
        torch.manual_seed(0)
        d = load_digits()
        self.x = torch.tensor(d.images).float().unsqueeze(1) / 8 - 1
        self.y = torch.tensor(d.target)
        perm = torch.randperm(len(self.x))
        self.train_idx, self.val_idx = perm[:1500], perm[1500:]

    def train_extractor(self, epochs=1):
        net = FeatureNet()
        opt = torch.optim.Adam(net.parameters(), lr=3e-3)
        for _ in range(epochs):
            for idx in self.train_idx[torch.randperm(1500)].split(50):
                opt.zero_grad()
                F.cross_entropy(net(self.x[idx]), self.y[idx]).backward()
                opt.step()
        return net

    def fit(self, epochs=3):
        model = Denoiser(self.train_extractor().features)
        for param in model.extractor.parameters():
            param.require_grad = False  # BUG: ineffective-requires-grad
        optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
        for epoch in range(epochs):
            model.train()
            for idx in self.train_idx[torch.randperm(1500)].split(50):
                clean = self.x[idx]
                _, loss = model(clean + 0.4 * torch.randn_like(clean), clean)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                clean = self.x[self.val_idx]
                restored, _ = model(clean + 0.4 * torch.randn_like(clean), clean)
                print(f"epoch {epoch}: loss {loss.item():.4f} val mse {F.mse_loss(restored, clean).item():.4f}")


if __name__ == "__main__":
    Trainer().fit()
