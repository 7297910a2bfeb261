"""Weights beside those that are read, a pickle or parts of safetensors: a note where they are another model's.

The hub's folders often have a pickle too, of the same numbers. What a later training wrote beside older weights is
another matter, and whoever brings such a folder may mean either. Names and shapes are compared, and numbers up to
`MOST_COMPARED` bytes; a tensor that one file rounds is compared as rounded. Of files that no loader of transformers
reads, as a head or an adapter of its own, the names are said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from edgepack.teacher.families import Family
from edgepack.teacher.files import PICKLES, SAFETENSORS
from edgepack.teacher.other_models import MERGE, TRAINING
from edgepack.teacher.weight_check import HARMLESS
from edgepack.teacher.weight_names import few, plain_name, read_names, stored_in, weight_files

MOST_COMPARED = 2_000_000_000  # bytes of what is not read: a second or two
WHOLE = "pytorch_model.bin"
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".pkl", ".joblib", ".npz")
KNOWN = re.compile(  # further forms of the same model, and what a training keeps for itself
    rf"\.|(model|pytorch_model)(\.\w+)?(-\d+-of-\d+)?\.(safetensors|bin)$|openvino_model|tokenizer|{'|'.join(TRAINING)}"
)


def said_of_others(folder: Path, what: str, family: Family) -> list[str]:
    """A line for each further file of weights, or set of parts, that holds other ones than those that are read."""
    read = weight_files(folder, what)
    unread = _said_of_unread(folder, what, read[0].name)
    if read[0].suffix != ".safetensors":
        return unread
    found = ((each, _first_difference(folder, read, each, what, family)) for each in _beside(folder, read))
    return unread + [
        f"{what}: {files[0].name} beside {read[0].name} holds other weights ({few(differs)}); {read[0].name} is read: "
        f"if the newer ones are in {files[0].name}, move {read[0].name} away"
        for files, differs in found
        if differs
    ]


def _said_of_unread(folder: Path, what: str, read: str) -> list[str]:
    """A line for files that look like weights and that nothing reads, and one for adapters in folders of their own."""
    names = sorted(p.name for p in folder.iterdir() if p.suffix in WEIGHTS and p.is_file() and not KNOWN.match(p.name))
    adapters = sorted(path.parent.name for path in folder.glob("*/adapter_config.json"))
    said = []
    if names:
        said.append(
            f"{what}: nothing reads {few(names)} beside {read}; if the teacher answers with it, it is another model "
            "without it: save the whole model with save_pretrained"
        )
    if adapters:
        said.append(f"{what}: nothing reads the adapter in {few(adapters)}; if the teacher answers with it, {MERGE}")
    return said


def _first_difference(folder: Path, read: tuple[Path, ...], beside: list[Path], what: str, family: Family) -> list[str]:
    """Names of tensors that differ: all in names and shapes, else the first in its numbers; none of what is unread."""
    used = read_names(folder, what, family)
    try:
        unused = {name: shape.shape for file in beside for name, shape in stored_in(file).items()}
    except Exception:  # nothing reads it: what is wrong with it does not matter
        return []
    stored = {name: tensor.shape for name, tensor in used.tensors.items()}
    differs = _names_that_differ(stored, unused, used.prefix)
    if differs or sum(file.stat().st_size for file in beside) > MOST_COMPARED:
        return differs
    return next(([name] for name, own, other in _pairs(read, beside) if not _same(own, other)), [])


def _beside(folder: Path, read: tuple[Path, ...]) -> list[list[Path]]:
    """The pickle or its parts, and the parts of safetensors where the whole file is read, as far as they are there."""
    pickles = [folder / WHOLE] if (folder / WHOLE).is_file() else _parts(folder, PICKLES)
    parts = [path for path in _parts(folder, SAFETENSORS) if path not in read] if len(read) == 1 else []
    return [each for each in (pickles, parts) if each]


def _parts(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    return sorted(folder.glob(patterns[0])) if (folder / patterns[1]).is_file() else []


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
        others |= load_file(file) if file.suffix == ".safetensors" else _unpickled(file)
    for file in read:
        with safe_open(file, "pt") as opened:
            for name in opened.keys():  # noqa: SIM118 (it is no dict)
                if isinstance(others.get(name), Tensor):
                    yield name, opened.get_tensor(name), others[name]


def _unpickled(file: Path) -> dict[str, Any]:
    try:
        return dict(torch.load(file, map_location="cpu", weights_only=True, mmap=True))
    except RuntimeError:  # a pickle of before torch 1.6 has no map
        return dict(torch.load(file, map_location="cpu", weights_only=True))


def _same(own: Tensor, other: Tensor) -> bool:
    """Whether the numbers are, as the coarser of the two has them."""
    least = min((own.dtype, other.dtype), key=lambda dtype: dtype.itemsize)
    return torch.equal(own.to(least), other.to(least))
