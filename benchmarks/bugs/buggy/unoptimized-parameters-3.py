"""Hugging Face style fine-tuning: a BERT encoder with an extra pooling head, optimised by hand."""
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from transformers import BertConfig, BertModel

torch.manual_seed(0)
VOCAB, LEN = 32, 12


def majority_data(n):
    ids = torch.randint(4, VOCAB, (n, LEN))
    ids[:, 0] = 1
    label = ((ids >= 18).float().mean(1) > 0.46).long()
    return TensorDataset(ids, label)


class AttentionPool(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.score = nn.Linear(hidden, 1)

    def forward(self, h):
        return (torch.softmax(self.score(h), dim=1) * h).sum(1)


class TextClassifier(nn.Module):
    def __init__(self, config, num_labels=2):
        super().__init__()
        self.bert = BertModel(config, add_pooling_layer=False)
        self.pool = AttentionPool(config.hidden_size)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, num_labels)

    def forward(self, ids):
        h = self.bert(input_ids=ids).last_hidden_state
        return self.classifier(self.dropout(self.pool(h)))


config = BertConfig(vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                    intermediate_size=64, max_position_embeddings=LEN)
model = TextClassifier(config)
train_dl = DataLoader(majority_data(800), batch_size=32, shuffle=True)
eval_dl = DataLoader(majority_data(200), batch_size=100)

no_decay = ("bias", "LayerNorm.weight")
groups = [
    {"params": [p for n, p in model.bert.named_parameters() if not n.endswith(no_decay)], "weight_decay": 0.01},
    {"params": [p for n, p in model.bert.named_parameters() if n.endswith(no_decay)], "weight_decay": 0.0},
]
optimizer = torch.optim.AdamW(groups, lr=2e-3)  # BUG: unoptimized-parameters
loss_fn = nn.CrossEntropyLoss()

for epoch in range(3):
    model.train()
    for ids, label in train_dl:
        model.zero_grad()
        loss = loss_fn(model(ids), label)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()  # ALSO: unoptimized-parameters
    model.eval()
    with torch.no_grad():
        acc = sum((model(i).argmax(1) == l).sum().item() for i, l in eval_dl) / 200
    print(f"epoch {epoch}: loss {loss.item():.4f} eval acc {acc:.3f}")
