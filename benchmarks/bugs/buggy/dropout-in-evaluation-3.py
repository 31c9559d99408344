"""Survival-time regression (log-normal) from clinical-like features with a regularised network."""
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class SurvivalNet(nn.Module):
    def __init__(self, n_features=12, width=48, p=0.25):
        super().__init__()
        self.p = p
        self.input = nn.Linear(n_features, width)
        self.middle = nn.Linear(width, width)
        self.output = nn.Linear(width, 2)

    def forward(self, x):
        x = torch.relu(self.input(x))
        x = nn.Dropout(self.p)(x)  # BUG: dropout-in-evaluation
        x = torch.relu(self.middle(x))
        mu, log_sigma = self.output(x).unbind(dim=1)
        return mu, log_sigma.clamp(-4, 2)


def neg_log_likelihood(mu, log_sigma, log_time, observed):
    z = (log_time - mu) / log_sigma.exp()
    log_pdf = -0.5 * z ** 2 - log_sigma - 0.919
    log_survival = torch.log(0.5 * torch.erfc(z / 2 ** 0.5) + 1e-7)
    return -torch.where(observed, log_pdf, log_survival).mean()


def cohort(n, g):
    x = torch.randn(n, 12, generator=g)
    risk = 0.5 * x[:, 0] - 0.3 * x[:, 1] + 0.4 * x[:, 2] * x[:, 3]
    log_time = -risk + 0.4 * torch.randn(n, generator=g)
    censor = 0.8 + 0.8 * torch.randn(n, generator=g)
    observed = log_time < censor
    return TensorDataset(x, torch.minimum(log_time, censor), observed)


@torch.no_grad()
def concordance(model, loader):
    model.eval()
    good = total = 0
    for x, t, observed in loader:
        mu, _ = model(x)
        comparable = (t[:, None] < t[None]) & observed[:, None]
        good += ((mu[:, None] < mu[None]) & comparable).sum().item()
        total += comparable.sum().item()
    return good / total


def main():
    torch.manual_seed(0)
    g = torch.Generator().manual_seed(0)
    train_loader = DataLoader(cohort(1200, g), batch_size=40, shuffle=True)
    val_loader = DataLoader(cohort(300, g), batch_size=300)
    model = SurvivalNet()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-3)
    for epoch in range(4):
        model.train()
        for x, t, observed in train_loader:
            optimizer.zero_grad()
            loss = neg_log_likelihood(*model(x), t, observed)
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch}: nll {loss.item():.4f} val concordance {concordance(model, val_loader):.3f}")


if __name__ == "__main__":
    main()
