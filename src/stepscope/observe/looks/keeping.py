"""Keeping larger values of a look: one sample through every layer, followed weight rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from stepscope.observe.gauge import looks_plain

if TYPE_CHECKING:
    import numpy as np

#: Values kept of one tensor, of one weight row and its input, and of one look in all.
MOST_OF_ONE = 1024
MOST_OF_A_ROW = 8192
MOST_OF_ALL = 65_536
_FEW = 64


class Kept:
    """Small pieces of tensors, copied on their device, brought to the host together."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self._pieces: dict[str, Tensor] = {}
        self._count = 0

    def sample(self, key: str, tensor: Any, most: int = MOST_OF_ONE) -> None:
        """Keep the first sample (index 0 of the first dimension) of ``tensor``, flattened."""
        if not isinstance(tensor, Tensor) or not looks_plain(tensor) or not tensor.numel():
            return
        first = tensor.detach()
        self.keep(key, first[0] if first.dim() > 1 else first, most)

    def keep(self, key: str, tensor: Tensor, most: int = MOST_OF_ONE) -> None:
        """Keep the first values of ``tensor``, flattened, as float32."""
        if key in self._pieces:
            return
        flat = tensor.detach().reshape(-1)[: most if self._count < MOST_OF_ALL else _FEW]
        if flat.is_complex():
            flat = flat.abs()
        self._pieces[key] = flat.to(torch.float32, copy=True)
        self._count += flat.numel()

    def rename(self, key: str, new: str) -> None:
        """Keep under ``new`` what was kept under ``key``."""
        piece = self._pieces.pop(key, None)
        if piece is not None:
            self._pieces[new] = piece

    def drop(self, key: str) -> None:
        """Keep this no longer."""
        piece = self._pieces.pop(key, None)
        if piece is not None:
            self._count -= piece.numel()

    def arrays(self) -> dict[str, np.ndarray]:
        """The pieces as NumPy arrays."""
        host = torch.cat(list(self._pieces.values())).cpu().numpy() if self._pieces else None
        arrays: dict[str, np.ndarray] = {}
        start = 0
        for key, piece in self._pieces.items():
            assert host is not None
            arrays[key] = host[start : start + piece.numel()]
            start += piece.numel()
        return arrays
