"""CTC training on synthetic stroke sequences: log-softmax over classes in (T, N, C) layout, blank id 0."""
import torch
import torch.nn as nn

torch.manual_seed(186)
SYMBOLS, DIM, FRAMES = 5, 8, 24
templates = torch.randn(SYMBOLS + 1, DIM) * 1.5


def sample(n):
    xs, targets, lengths = [], [], []
    for _ in range(n):
        k = int(torch.randint(2, 5, (1,)))
        word = torch.randint(1, SYMBOLS + 1, (k,))
        frames = torch.zeros(FRAMES, dtype=torch.long)
        width = FRAMES // k
        for j, s in enumerate(word):
            start = j * width + int(torch.randint(0, 2, (1,)))
            frames[start:start + width - 2] = s
        xs.append(templates[frames] + 0.5 * torch.randn(FRAMES, DIM))
        targets.append(word)
        lengths.append(k)
    return torch.stack(xs, 1), torch.cat(targets), torch.tensor(lengths)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.fc = nn.GRU(DIM, 32, bidirectional=True), nn.Linear(64, SYMBOLS + 1)

    def forward(self, x):
        return self.fc(self.rnn(x)[0]).log_softmax(-1)


def greedy(log_probs):
    out = []
    for path in log_probs.argmax(-1).T:
        path = torch.unique_consecutive(path)
        out.append(path[path != 0].tolist())
    return out


net, ctc = Net(), nn.CTCLoss(blank=0, zero_infinity=True)
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
log = []
for step in range(110):
    x, y, n = sample(24)
    loss = ctc(net(x), y, torch.full((24,), FRAMES), n)
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 5.0)
    opt.step()
    log.append(loss.item())
x, y, n = sample(60)
with torch.no_grad():
    guess = greedy(net(x))
exact = sum(g == w.tolist() for g, w in zip(guess, y.split(n.tolist()))) / 60
print("loss", [round(log[k], 4) for k in (0, 35, 70, 109)], "exact words", round(exact, 3))
