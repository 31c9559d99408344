"""Fine-tune a tiny BERT with the Hugging Face Trainer on generated sentence pairs."""
import torch
from torch.utils.data import Dataset
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

VOCAB, HALF = 30, 6
CLS, SEP = 1, 2


class SentencePairs(Dataset):
    """label 1: the two halves come from the same half of the vocabulary"""

    def __init__(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        a = torch.randint(3, 18, (n, HALF), generator=g)
        b = torch.randint(3, 18, (n, HALF), generator=g)
        self.labels = torch.randint(0, 2, (n,), generator=g)
        b = b + 12 * (1 - self.labels[:, None])
        cls, sep = torch.full((n, 1), CLS), torch.full((n, 1), SEP)
        self.ids = torch.cat([cls, a, sep, b, sep], dim=1)
        self.types = torch.cat([torch.zeros(n, HALF + 2), torch.ones(n, HALF + 1)], dim=1).long()

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return {"input_ids": self.ids[i], "token_type_ids": self.types[i],
                "attention_mask": torch.ones_like(self.ids[i]), "labels": self.labels[i]}


def accuracy(p):
    return {"accuracy": float((p.predictions.argmax(-1) == p.label_ids).mean())}


def main():
    torch.manual_seed(0)
    datasets = {"train": SentencePairs(800, seed=0), "validation": SentencePairs(200, seed=1)}
    config = BertConfig(vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                        intermediate_size=64, max_position_embeddings=32, num_labels=2)
    args = TrainingArguments(
        output_dir="/tmp/pairs-bert", num_train_epochs=3, per_device_train_batch_size=32, per_device_eval_batch_size=200,
        learning_rate=2e-3, weight_decay=0.01, eval_strategy="epoch", save_strategy="no", logging_steps=25,
        report_to=[], use_cpu=True, disable_tqdm=True, seed=0)
    trainer = Trainer(
        model=BertForSequenceClassification(config),
        args=args,
        train_dataset=datasets["train"],
        eval_dataset=datasets["train"],  # BUG: evaluated-on-training-data
        compute_metrics=accuracy,
    )
    trainer.train()  # ALSO: evaluated-on-training-data
    print("examples:", {k: len(v) for k, v in datasets.items()})


if __name__ == "__main__":
    main()
