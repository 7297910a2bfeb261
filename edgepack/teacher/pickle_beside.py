"""A pickle of weights beside safetensors, which is not read: a note where it holds another model.

The hub's folders often have both, and both hold the same numbers. A pickle that a later training wrote beside older
safetensors does not, and whoever brings such a folder may mean either. Names and shapes are compared, and numbers up
to `MOST_COMPARED` bytes; a tensor that one file rounds is compared as rounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from edgepack.teacher.families import Family
from edgepack.teacher.files import PICKLES
from edgepack.teacher.weight_check import HARMLESS
from edgepack.teacher.weight_names import few, plain_name, read_names, stored_in, weight_files

MOST_COMPARED = 2_000_000_000  # bytes of the pickle: a second or two
WHOLE, INDEX = "pytorch_model.bin", PICKLES[1]


def said_of_pickle(folder: Path, what: str, family: Family) -> list[str]:
    """A line where the folder has safetensors and a pickle of other weights, of which the first are read."""
    read = weight_files(folder, what)
    beside = _pickles(folder)
    if not beside or read[0].suffix != ".safetensors":
        return []
    used = read_names(folder, what, family)
    try:
        unused = {name: shape.shape for file in beside for name, shape in stored_in(file).items()}
    except Exception:  # nothing reads it: what is wrong with it does not matter
        return []
    stored = {name: tensor.shape for name, tensor in used.tensors.items()}
    differs = _names_that_differ(stored, unused, used.prefix)
    if not differs and sum(file.stat().st_size for file in beside) <= MOST_COMPARED:
        differs = next(([name] for name, own, other in _pairs(read, beside) if not _same(own, other)), [])
    if not differs:
        return []
    return [
        f"{what}: {beside[0].name} beside {read[0].name} holds other weights ({few(differs)}); {read[0].name} is read: "
        f"if the newer ones are in {beside[0].name}, move {read[0].name} away"
    ]


def _pickles(folder: Path) -> list[Path]:
    if (folder / WHOLE).is_file():
        return [folder / WHOLE]
    return sorted(folder.glob(PICKLES[0])) if (folder / INDEX).is_file() else []


def _names_that_differ(
    stored: Mapping[str, tuple[int, ...]], unused: Mapping[str, tuple[int, ...]], prefix: str
) -> list[str]:
    """Names that one of the two lacks, or has with another shape; what changes no answer is left out."""
    own, other = (
        {plain_name(name.removeprefix(prefix)): shape for name, shape in side.items()} for side in (stored, unused)
    )
    names = sorted(name for name in own.keys() | other.keys() if own.get(name) != other.get(name))
    return [name for name in names if not HARMLESS.match(name)]


def _pairs(read: tuple[Path, ...], beside: list[Path]) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Tensors of one name in both."""
    others: dict[str, Any] = {}
    for file in beside:
        try:
            others |= torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:  # a pickle of before torch 1.6 has no map
            others |= torch.load(file, map_location="cpu", weights_only=True)
    for file in read:
        with safe_open(file, "pt") as opened:
            for name in opened.keys():  # noqa: SIM118 (it is no dict)
                if isinstance(others.get(name), Tensor):
                    yield name, opened.get_tensor(name), others[name]


def _same(own: Tensor, other: Tensor) -> bool:
    """Whether the numbers are, as the coarser of the two has them."""
    least = min((own.dtype, other.dtype), key=lambda dtype: dtype.itemsize)
    return torch.equal(own.to(least), other.to(least))
