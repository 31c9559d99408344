"""Hugging Face GPT-2 architecture trained on chess-like move sequences with a plain loop."""
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset
from transformers import GPT2Config, GPT2LMHeadModel

VOCAB, LENGTH = 36, 20


def move_sequences(n, g):
    """knight-like walks on a 6 x 6 board"""
    jumps = torch.tensor([[1, 2], [2, 1], [-1, 2], [-2, 1], [1, -2], [2, -1], [-1, -2], [-2, -1]])
    pos = torch.randint(0, 6, (n, 2), generator=g)
    rows = []
    for _ in range(LENGTH):
        rows.append(pos[:, 0] * 6 + pos[:, 1])
        pos = (pos + jumps[torch.randint(0, 8, (n,), generator=g)]) % 6
    return torch.stack(rows, 1)


def collate(batch):
    input_ids = torch.stack([row[0] for row in batch])
    return {"input_ids": input_ids, "labels": input_ids.clone()}


def compute_loss(model, batch):
    logits = model(input_ids=batch["input_ids"]).logits
    return F.cross_entropy(logits.view(-1, VOCAB), batch["labels"].view(-1))  # BUG: unshifted-targets


def main():
    torch.manual_seed(0)
    g = torch.Generator().manual_seed(0)
    train_loader = DataLoader(TensorDataset(move_sequences(800, g)), batch_size=32, shuffle=True, collate_fn=collate)
    val_loader = DataLoader(TensorDataset(move_sequences(200, g)), batch_size=100, collate_fn=collate)
    config = GPT2Config(vocab_size=VOCAB, n_positions=LENGTH, n_embd=32, n_layer=2, n_head=4,
                        resid_pdrop=0.1, embd_pdrop=0.1, attn_pdrop=0.1, bos_token_id=0, eos_token_id=0)
    model = GPT2LMHeadModel(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for epoch in range(3):
        model.train()
        for batch in train_loader:
            loss = compute_loss(model, batch)  # ALSO: unshifted-targets
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        model.eval()
        with torch.no_grad():
            val = sum(compute_loss(model, b).item() for b in val_loader) / len(val_loader)
        print(f"epoch {epoch}: train {loss.item():.4f} val {val:.4f} perplexity {torch.tensor(val).exp():.2f}")


if __name__ == "__main__":
    main()
