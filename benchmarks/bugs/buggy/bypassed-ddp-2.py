"""Multi-process language-model training with a Trainer that keeps the unwrapped model for checkpoints."""
import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

VOCAB, CTX = 24, 12


class TinyLM(nn.Module):
    def __init__(self, d=32):
        super().__init__()
        self.emb = nn.Embedding(VOCAB, d)
        self.gru = nn.GRU(d, d, batch_first=True)
        self.out = nn.Linear(d, VOCAB)

    def forward(self, x):
        return self.out(self.gru(self.emb(x))[0])


def token_stream(n, seed):
    table = torch.randint(0, VOCAB, (VOCAB, 3), generator=torch.Generator().manual_seed(5))
    g = torch.Generator().manual_seed(seed)
    ids = [0]
    for c in torch.randint(0, 3, (n,), generator=g).tolist():
        ids.append(int(table[ids[-1], c]))
    return torch.tensor(ids)


class Trainer:
    def __init__(self, model, train_ids, val_ids, lr=3e-3, batch_size=32):
        self.rank, self.world = dist.get_rank(), dist.get_world_size()
        self.ddp_model = DistributedDataParallel(model)
        self.model = self.ddp_model.module            # for state_dict() and generation
        self.optimizer = torch.optim.AdamW(self.ddp_model.parameters(), lr=lr)
        self.train_ids, self.val_ids, self.batch_size = train_ids, val_ids, batch_size
        self.g = torch.Generator().manual_seed(1000 + self.rank)

    def batch(self, ids):
        ix = torch.randint(0, len(ids) - CTX - 1, (self.batch_size,), generator=self.g).tolist()
        return torch.stack([ids[i:i + CTX] for i in ix]), torch.stack([ids[i + 1:i + CTX + 1] for i in ix])

    def train_step(self):
        self.ddp_model.train()
        x, y = self.batch(self.train_ids)
        loss = F.cross_entropy(self.model(x).flatten(0, 1), y.flatten())  # BUG: bypassed-ddp
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # ALSO: bypassed-ddp
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss.item()

    @torch.no_grad()
    def validate(self):
        self.ddp_model.eval()
        x, y = self.batch(self.val_ids)
        loss = F.cross_entropy(self.model(x).flatten(0, 1), y.flatten())
        dist.all_reduce(loss)
        return loss.item() / self.world

    def run(self, steps):
        for step in range(1, steps + 1):
            loss = self.train_step()
            if step % 30 == 0:
                val = self.validate()
                if self.rank == 0:
                    print(f"step {step}: train {loss:.4f} val {val:.4f}")


if __name__ == "__main__":
    dist.init_process_group(backend="gloo")
    torch.manual_seed(0)
    trainer = Trainer(TinyLM(), token_stream(5000, 0), token_stream(1200, 1))
    trainer.run(120)
    dist.barrier()
    dist.destroy_process_group()
