"""Images of digits for the demos: scikit-learn's own, or MNIST files in the IDX format."""

import gzip
import struct
import zlib
from pathlib import Path

import torch

_NAMES = ("train", "t10k")


def load_images(folder: str | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Images as N x pixels (float32, 0 to 1) and labels as N (int64).

    From MNIST files in ``folder``, or scikit-learn's 1,797 handwritten digits where it is None.

    Raises:
        SystemExit: the data is not there; the message says what to do.
    """
    if folder is None:
        try:
            from sklearn.datasets import load_digits
        except ImportError:
            raise SystemExit("the digits come with scikit-learn: pip install 'stepscope[demo]'") from None
        digits = load_digits()
        return torch.tensor(digits.data / 16.0, dtype=torch.float32), torch.tensor(digits.target, dtype=torch.int64)
    images, labels = _mnist(Path(folder))
    return images.reshape(len(images), -1).float() / 255.0, labels.long()


def _mnist(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    for name in _NAMES:
        images = _file(folder, f"{name}-images-idx3-ubyte")
        labels = _file(folder, f"{name}-labels-idx1-ubyte")
        if images is not None and labels is not None:
            return _matching(folder, read_idx(images), read_idx(labels))
    return _download(folder)


def _matching(folder: Path, images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Both, if they belong together: N images of digits, N labels from 0 to 9."""
    if images.dim() != 3 or labels.dim() != 1 or len(images) != len(labels):
        raise SystemExit(
            f"the files in {folder} do not belong together: "
            f"images of shape {tuple(images.shape)}, labels of shape {tuple(labels.shape)}"
        )
    if labels.max() > 9:
        raise SystemExit(f"the labels in {folder} go up to {int(labels.max())}; those of digits end at 9")
    return images, labels


def _file(folder: Path, name: str) -> Path | None:
    """The file itself or gzipped, in ``folder`` or where torchvision puts it."""
    places = (folder, folder / "MNIST" / "raw")
    return next((path for place in places for path in (place / name, place / f"{name}.gz") if path.is_file()), None)


def _download(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    try:
        from torchvision.datasets import MNIST
    except ImportError:
        raise SystemExit(
            f"no MNIST files in {folder}: expected train-images-idx3-ubyte and train-labels-idx1-ubyte "
            "(or t10k-...), gzipped or not; with torchvision installed they are downloaded"
        ) from None
    data = MNIST(folder, train=True, download=True)
    return data.data, data.targets


def read_idx(path: Path) -> torch.Tensor:
    """Read an IDX file of unsigned bytes, gzipped or not, as a uint8 tensor.

    Raises:
        SystemExit: the file is damaged or of another kind; the message says how.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise SystemExit(f"cannot read {path}: {error}") from None
    if len(data) < 4 or data[:3] != b"\x00\x00\x08":
        raise SystemExit(f"{path} is no IDX file of bytes (it begins with {data[:4].hex(' ') or 'nothing'})")
    dimensions = data[3]
    if len(data) < 4 + 4 * dimensions:
        raise SystemExit(f"{path} ends within its header")
    sizes = struct.unpack(f">{dimensions}I", data[4 : 4 + 4 * dimensions])
    body = data[4 + 4 * dimensions :]
    expected = 1
    for size in sizes:
        expected *= size
    if not expected:
        raise SystemExit(f"{path} holds no values: its sizes are {sizes}")
    if len(body) != expected:
        raise SystemExit(f"{path} should hold {expected} values and holds {len(body)}")
    return torch.frombuffer(bytearray(body), dtype=torch.uint8).reshape(sizes)
