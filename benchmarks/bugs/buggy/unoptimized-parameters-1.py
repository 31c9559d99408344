"""Metric learning on digits with an ArcFace head."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.utils.data import DataLoader, TensorDataset


class ArcFaceLoss(nn.Module):
    def __init__(self, embedding_size, num_classes, scale=12.0, margin=0.2):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_classes, embedding_size))
        nn.init.xavier_uniform_(self.weight)
        self.scale, self.margin = scale, margin

    def forward(self, embeddings, labels):
        cosine = F.linear(F.normalize(embeddings), F.normalize(self.weight)).clamp(-1 + 1e-5, 1 - 1e-5)
        theta = torch.acos(cosine)
        target = F.one_hot(labels, cosine.size(1)).bool()
        logits = torch.where(target, torch.cos(theta + self.margin), cosine)
        return F.cross_entropy(self.scale * logits, labels)


class Embedder(nn.Module):
    def __init__(self, size=16):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1), nn.PReLU(12), nn.MaxPool2d(2),
            nn.Conv2d(12, 24, 3, padding=1), nn.PReLU(24), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(96, size))

    def forward(self, x):
        return self.net(x)


def knn_accuracy(model, gallery, queries):
    model.eval()
    with torch.no_grad():
        g = F.normalize(model(gallery[0]))
        q = F.normalize(model(queries[0]))
    nearest = (q @ g.T).argmax(1)
    return (gallery[1][nearest] == queries[1]).float().mean().item()


def main():
    torch.manual_seed(0)
    d = load_digits()
    x = torch.tensor(d.images).float().unsqueeze(1) / 16
    y = torch.tensor(d.target)
    x_tr, x_va, y_tr, y_va = train_test_split(x, y, test_size=0.2, random_state=0)
    loader = DataLoader(TensorDataset(x_tr, y_tr), batch_size=48, shuffle=True)

    model = Embedder()
    criterion = ArcFaceLoss(16, 10)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)  # BUG: unoptimized-parameters
    for epoch in range(4):
        model.train()
        for images, labels in loader:
            loss = criterion(model(images), labels)  # ALSO: unoptimized-parameters
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()  # ALSO: unoptimized-parameters
        print(f"epoch {epoch}: loss {loss.item():.3f} 1-nn acc {knn_accuracy(model, (x_tr, y_tr), (x_va, y_va)):.3f}")


if __name__ == "__main__":
    main()
