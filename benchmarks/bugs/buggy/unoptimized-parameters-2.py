"""Convolutional autoencoder on small shapes: encoder and decoder as separate modules."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(8)


class Encoder(nn.Module):
    def __init__(self, latent=8):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.fc = nn.Linear(16 * 3 * 3, latent)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        return self.fc(x.flatten(1))


class Decoder(nn.Module):
    def __init__(self, latent=8):
        super().__init__()
        self.fc = nn.Linear(latent, 16 * 3 * 3)
        self.up1 = nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1)
        self.up2 = nn.ConvTranspose2d(8, 1, 4, stride=2, padding=1)

    def forward(self, z):
        h = F.relu(self.fc(z)).view(-1, 16, 3, 3)
        return self.up2(F.relu(self.up1(h)))


def circles(n):
    yy, xx = torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="ij")
    cx, cy = 3 + 6 * torch.rand(2, n, 1, 1)
    r = 1.5 + 2 * torch.rand(n, 1, 1)
    dist = ((xx - cx) ** 2 + (yy - cy) ** 2).sqrt()
    return torch.sigmoid(3 * (r - dist)).unsqueeze(1)


train, val = circles(1024), circles(256)
encoder, decoder = Encoder(), Decoder()
optimizer = torch.optim.Adam(encoder.parameters(), lr=2e-3)  # BUG: unoptimized-parameters

for epoch in range(6):
    encoder.train()
    decoder.train()
    total = 0.0
    for idx in torch.randperm(len(train)).split(64):
        x = train[idx]
        recon = decoder(encoder(x))
        loss = F.binary_cross_entropy_with_logits(recon, x)
        encoder.zero_grad()
        decoder.zero_grad()
        loss.backward()
        optimizer.step()  # ALSO: unoptimized-parameters
        total += loss.item() * len(idx)
    encoder.eval()
    decoder.eval()
    with torch.no_grad():
        val_loss = F.binary_cross_entropy_with_logits(decoder(encoder(val)), val).item()
    print(f"epoch {epoch + 1}: train {total / len(train):.4f} val {val_loss:.4f}")
