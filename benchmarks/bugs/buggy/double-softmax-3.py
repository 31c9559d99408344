"""Hugging Face Trainer: a small encoder for intent classification with its own head."""
import torch
import torch.nn as nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

VOCAB, LEN, INTENTS = 40, 12, 5


class Utterances(Dataset):
    def __init__(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        self.labels = torch.randint(0, INTENTS, (n,), generator=g)
        self.ids = torch.randint(0, VOCAB, (n, LEN), generator=g)
        for k in range(3):
            where = torch.randint(0, LEN, (n,), generator=g)
            self.ids[torch.arange(n), where] = self.labels * 3 + k

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return {"input_ids": self.ids[i], "labels": self.labels[i]}


class IntentModel(nn.Module):
    def __init__(self, d=32):
        super().__init__()
        self.embeddings = nn.Embedding(VOCAB, d)
        self.position = nn.Parameter(0.02 * torch.randn(LEN, d))
        layer = nn.TransformerEncoderLayer(d, 4, 64, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.classifier = nn.Sequential(nn.Linear(d, d), nn.Tanh(), nn.Linear(d, INTENTS), nn.Softmax(dim=-1))  # ALSO: double-softmax
        self.loss_fct = nn.CrossEntropyLoss()

    def forward(self, input_ids, labels=None):
        h = self.encoder(self.embeddings(input_ids) + self.position).mean(dim=1)
        scores = self.classifier(h)
        loss = self.loss_fct(scores, labels) if labels is not None else None  # BUG: double-softmax
        return {"loss": loss, "logits": scores}


def compute_metrics(eval_pred):
    scores, labels = eval_pred
    return {"accuracy": float((scores.argmax(-1) == labels).mean())}


def main():
    torch.manual_seed(0)
    args = TrainingArguments(
        output_dir="/tmp/intent-model", num_train_epochs=3, per_device_train_batch_size=32, per_device_eval_batch_size=128,
        learning_rate=3e-3, eval_strategy="epoch", save_strategy="no", report_to=[], use_cpu=True, disable_tqdm=True,
        logging_steps=30, seed=0)
    trainer = Trainer(model=IntentModel(), args=args, train_dataset=Utterances(960, 0), eval_dataset=Utterances(256, 1),
                      compute_metrics=compute_metrics)
    trainer.train()


if __name__ == "__main__":
    main()
