"""Accelerate: a BiLSTM part-of-speech style tagger over sentences of variable length."""
import torch
import torch.nn as nn
from accelerate import Accelerator
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

torch.manual_seed(3)
N_WORDS, N_TAGS = 60, 6
gen = torch.Generator().manual_seed(3)
word_tag = torch.randint(0, N_TAGS, (N_WORDS,), generator=gen)


def sentence():
    long = torch.rand(1, generator=gen).item() < 0.25
    length = int(torch.randint(25, 40, (1,), generator=gen)) if long else int(torch.randint(3, 7, (1,), generator=gen))
    words = torch.randint(1, N_WORDS, (length,), generator=gen)
    tags = word_tag[words].clone()
    tags[1:] = (tags[1:] + (words[:-1] % 2)) % N_TAGS
    return words, tags


def collate(batch):
    words, tags = zip(*batch)
    return (pad_sequence(words, batch_first=True),
            pad_sequence(tags, batch_first=True, padding_value=-100))


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(N_WORDS, 24, padding_idx=0)
        self.lstm = nn.LSTM(24, 24, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(48, N_TAGS)

    def forward(self, words):
        return self.fc(self.lstm(self.emb(words))[0])


train_data = [sentence() for _ in range(960)]
val_data = [sentence() for _ in range(200)]

accelerator = Accelerator(cpu=True, gradient_accumulation_steps=4)
model = Tagger()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
train_dl = DataLoader(train_data, batch_size=4, shuffle=True, collate_fn=collate)
val_dl = DataLoader(val_data, batch_size=64, collate_fn=collate)
model, optimizer, train_dl, val_dl = accelerator.prepare(model, optimizer, train_dl, val_dl)
loss_fn = nn.CrossEntropyLoss(ignore_index=-100)

for epoch in range(2):
    model.train()
    for words, tags in train_dl:
        with accelerator.accumulate(model):
            logits = model(words)
            loss = loss_fn(logits.transpose(1, 2), tags)  # BUG: uneven-accumulation
            accelerator.backward(loss)  # ALSO: uneven-accumulation
            optimizer.step()  # ALSO: uneven-accumulation
            optimizer.zero_grad()
    model.eval()
    right = count = 0
    with torch.no_grad():
        for words, tags in val_dl:
            keep = tags != -100
            right += (model(words).argmax(-1)[keep] == tags[keep]).sum().item()
            count += keep.sum().item()
    accelerator.print(f"epoch {epoch}: token accuracy {right / count:.3f}")
