"""Character model of pseudo-English with an LSTM (notebook export)."""
# In[1]:
import random

import torch
import torch.nn as nn
import torch.nn.functional as F

random.seed(0)
torch.manual_seed(0)

# In[2]: build a text
syllables = ["tha", "lo", "ri", "ent", "ing", "sor", "mi", "del", "ka", "un"]
text = " ".join("".join(random.choices(syllables, k=random.randint(1, 4))) for _ in range(3000))
chars = sorted(set(text))
encode = {c: i for i, c in enumerate(chars)}
data = torch.tensor([encode[c] for c in text])
train_data, val_data = data[:-3000], data[-3000:]
print(len(chars), "characters,", len(data), "tokens")

# In[3]: batches
SEQ, BATCH = 32, 24


def get_batch(source):
    starts = torch.randint(0, len(source) - SEQ - 1, (BATCH,)).tolist()
    x = torch.stack([source[s:s + SEQ] for s in starts])
    y = torch.stack([source[s:s + SEQ] for s in starts])  # ALSO: unshifted-targets
    return x, y


# In[4]: model
class CharLSTM(nn.Module):
    def __init__(self, n_chars, n_embed=16, n_hidden=32):
        super().__init__()
        self.embed = nn.Embedding(n_chars, n_embed)
        self.lstm = nn.LSTM(n_embed, n_hidden, batch_first=True)
        self.out = nn.Linear(n_hidden, n_chars)

    def forward(self, x, state=None):
        h, state = self.lstm(self.embed(x), state)
        return self.out(h), state


model = CharLSTM(len(chars))
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)

# In[5]: training
for step in range(1, 121):
    model.train()
    x, y = get_batch(train_data)
    logits, _ = model(x)
    loss = F.cross_entropy(logits.transpose(1, 2), y)  # BUG: unshifted-targets
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if step % 30 == 0:
        model.eval()
        with torch.no_grad():
            vx, vy = get_batch(val_data)
            val = F.cross_entropy(model(vx)[0].transpose(1, 2), vy).item()
        print(f"step {step}: train {loss.item():.3f} val {val:.3f}")

# In[6]: sample
model.eval()
idx, state, out = torch.tensor([[encode["t"]]]), None, "t"
with torch.no_grad():
    for _ in range(30):
        logits, state = model(idx, state)
        idx = torch.multinomial(F.softmax(logits[:, -1], dim=-1), 1)
        out += chars[idx.item()]
print("sample:", out)
