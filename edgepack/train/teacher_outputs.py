"""The teacher's outputs on the training data, computed once and kept on disk.

Flat arrays, laid out as in `Encoded`: `logits.npy`, fp32, `(n, C)` or `(T, C)`, and `hidden.npy`, fp16, `(T, states,
H)`, of which a batch's examples are read from their places in the file. A memory map would count every page it ever
touched as the process's own memory; plain reads leave them in the system's page cache. A distillation step then
costs no teacher forward pass, which at these sizes is most of a step.

fp16 hidden states are post-norm values of order 1, so their rounding (2⁻¹¹ relative) is far below what a student can
follow. Disk: 2·H·states bytes a token, `DISK_BYTES` at most: with a large teacher or much data fewer hidden states are
kept, evenly spread and the last among them, and where even `FEWEST_STATES` are too much, a seeded sample of the
examples is used.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from edgepack.console import Console
from edgepack.errors import DiskFull, InputError
from edgepack.inference import torch_batch
from edgepack.memory import return_free_memory
from edgepack.parameters import format_size
from edgepack.student.model import Attention, Student
from edgepack.task.encoded import IGNORED, Encoded

TOKENS_PER_BATCH = 2048
LENGTH_MULTIPLE = 4  # of short texts; each new length makes the matrix library build and keep another set of kernels
HIDDEN_FILE = "hidden.npy"
DISK_BYTES = 8_000_000_000  # of hidden states: still page cache on a machine of ordinary size
FEWEST_STATES = 3


@dataclass(frozen=True, eq=False)
class HiddenFile:
    """A `.npy` file of fp16 states `(T, states, H)`, read and written a run of tokens at a time.

    Every batch opens the file anew, so threads and processes share no position in it.
    """

    path: Path
    shape: tuple[int, int, int]
    start: int  # bytes before the first token

    @property
    def token_bytes(self) -> int:
        """Bytes of one token's states."""
        return self.shape[1] * self.shape[2] * 2

    def read(self, data: Encoded, indices: np.ndarray, length: int) -> np.ndarray:
        """The examples' states, padded on the right with zeros to `length`: `(batch, length, states, H)` fp16."""
        lengths = data.lengths[indices]
        padded = np.empty((len(lengths), length, *self.shape[1:]), np.float16)
        with self.path.open("rb", buffering=0) as file:
            for row, (example, count) in enumerate(zip(indices, lengths, strict=True)):
                padded[row, count:] = 0
                file.seek(self.start + int(data.offsets[example]) * self.token_bytes)
                if _read_into(file, padded[row, :count]) < count * self.token_bytes:
                    raise InputError(f"{self.path} ends before example {example}; build again with --fresh")
        return padded

    def write(self, data: Encoded, indices: np.ndarray, padded: np.ndarray) -> None:
        """Put the examples' states, `(batch, seq, states, H)` fp16, in their places; padding is left out."""
        with self.path.open("r+b") as file:
            for row, example in enumerate(indices):
                file.seek(self.start + int(data.offsets[example]) * self.token_bytes)
                file.write(padded[row, : data.lengths[example]].data)


def _read_into(file: FileIO, array: np.ndarray) -> int:
    """Fill `array` from the file's position; the bytes that there were."""
    view, filled = array.data.cast("B"), 0
    while filled < len(view):
        count = file.readinto(view[filled:])
        if not count:
            break
        filled += count
    return filled


def create_hidden_file(path: Path, shape: tuple[int, int, int]) -> HiddenFile:
    """A new file of zeros, sparse where the file system can; `DiskFull` where there is no room to fill it."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": shape})
        hidden = HiddenFile(path, shape, file.tell())
        size, free = hidden.start + shape[0] * hidden.token_bytes, shutil.disk_usage(path.parent).free
        if size > free:
            raise DiskFull(
                f"the teacher's hidden states take {format_size(size)} while a student is trained; the disk of "
                f"{path.parent} has {format_size(free)} free; make room, or give -o on another disk"
            )
        file.truncate(size)
    return hidden


def open_hidden_file(path: Path) -> HiddenFile:
    """A file that `create_hidden_file` made."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        (tokens, states, hidden_size), _, _ = np.lib.format.read_array_header_1_0(file)
        return HiddenFile(path, (tokens, states, hidden_size), file.tell())


@dataclass(frozen=True, eq=False)
class TeacherOutputs:
    """The teacher's outputs for one encoded data set.

    `pairs`: which of the student's states (0 is the embedding's, `i + 1` layer `i`'s) belongs to which stored one.
    `inputs`: for each of the student's layers, the stored state that enters its teacher layer; None where it was
    not kept. `attention`: the teacher's own attention by the student's layers, for losses that compare queries, keys
    and values.
    """

    logits: np.ndarray
    hidden: HiddenFile
    pairs: tuple[tuple[int, int], ...]
    inputs: tuple[int | None, ...] = ()
    attention: tuple[Attention, ...] = ()

    def batch_logits(self, data: Encoded, indices: np.ndarray) -> Tensor:
        """Logits of the examples: `(batch, C)`, or `(tokens, C)` in the order of `data.rows`."""
        rows = data.rows(indices) if len(self.logits) != len(data) else indices
        return torch.from_numpy(self.logits[rows])

    def batch_hidden(self, data: Encoded, indices: np.ndarray, length: int | None = None) -> Tensor:
        """fp16 states, padded on the right with zeros to `length` (default: the longest): `(batch, seq, states, H)`."""
        longest = int(data.lengths[indices].max()) if length is None else length
        return torch.from_numpy(self.hidden.read(data, indices, longest))

    def to(self, device: torch.device) -> TeacherOutputs:
        """The same with the attention modules on `device`."""
        return replace(self, attention=tuple(deepcopy(module).to(device) for module in self.attention))


def load_teacher_outputs(folder: Path, layers: Sequence[int], teacher: Student | None = None) -> TeacherOutputs:
    """Open what `save_teacher_outputs` wrote, for a student whose layers are the teacher's `layers`.

    `teacher`, the student of its own shape, is needed where a loss compares queries, keys and values.
    """
    stored = np.load(folder / "states.npy").tolist()
    wanted = [0, *(layer + 1 for layer in layers)]
    pairs = tuple((i, stored.index(state)) for i, state in enumerate(wanted) if state in stored)
    inputs = tuple(stored.index(layer) if layer in stored else None for layer in layers)
    attention: list[Attention] = []
    if teacher is not None:
        sharing = teacher.config.attention_sharing or []
        attention = [cast(Attention, teacher.attention[sharing[layer]]) for layer in layers]
    hidden = open_hidden_file(folder / HIDDEN_FILE)
    return TeacherOutputs(np.load(folder / "logits.npy"), hidden, pairs, inputs, tuple(attention))


def padded_length(tokens: int, longest: int) -> int:
    """The multiple of 4 that holds `tokens`, from 32 on of 8, from 64 on of 16, and so on; no more than `longest`."""
    multiple = max(LENGTH_MULTIPLE, 1 << max(0, tokens.bit_length() - 3))
    return max(tokens, min(longest, -(-tokens // multiple) * multiple))


def padded(batch: dict[str, Tensor], length: int, pad_id: int) -> dict[str, Tensor]:
    """What `Encoded.batch` gives, its sequences padded on the right to `length`."""
    fills = {"input_ids": pad_id, "labels": IGNORED}

    def pad(name: str, tensor: Tensor) -> Tensor:
        return F.pad(tensor, (0, length - tensor.shape[1]), value=fills.get(name, 0)) if tensor.dim() == 2 else tensor

    return {name: pad(name, tensor) for name, tensor in batch.items()}


def choose_states(layers: Sequence[int], hidden_size: int, tokens: int, with_inputs: bool = False) -> list[int]:
    """The teacher's hidden states to keep: the embedding's and those of `layers`, or as many of them as fit on disk.

    `with_inputs` keeps what enters those layers too: queries, keys and values are computed from it.
    """
    wanted = sorted({0, *(layer + 1 for layer in layers), *(layers if with_inputs else ())})
    fitting = max(FEWEST_STATES, DISK_BYTES // (2 * hidden_size * max(1, tokens)))
    if len(wanted) <= fitting:
        return wanted
    return [wanted[round(i * (len(wanted) - 1) / (fitting - 1))] for i in range(fitting)]


def choose_examples(lengths: np.ndarray, hidden_size: int, seed: int) -> np.ndarray:
    """Indices of the examples to train on, sorted: all, or a seeded sample whose outputs fit on disk."""
    most_tokens = DISK_BYTES // (2 * hidden_size * FEWEST_STATES)
    if lengths.sum() <= most_tokens:
        return np.arange(len(lengths))
    order = np.random.default_rng(seed).permutation(len(lengths))
    return np.sort(order[: np.searchsorted(np.cumsum(lengths[order]), most_tokens)])


def save_teacher_outputs(
    teacher: Student,
    data: Encoded,
    layers: Sequence[int],
    folder: Path,
    console: Console,
    *,
    device: torch.device,
    bf16: bool,
    with_inputs: bool = False,
) -> None:
    """Run `teacher` (a student of its own shape) over `data`; write its logits and the states of `layers`."""
    folder.mkdir(parents=True, exist_ok=True)
    config = teacher.config
    tokens = int(data.offsets[-1])
    per_token = config.task == "token-classification"
    states = choose_states(layers, config.hidden_size, tokens, with_inputs)
    file = create_hidden_file(folder / HIDDEN_FILE, (tokens, len(states), config.hidden_size))
    logits = np.zeros((tokens if per_token else len(data), config.num_labels), np.float32)
    order = np.argsort(-data.lengths, kind="stable")  # the longest first: later ones fit in memory that is there
    longest, pad_id = config.max_position_embeddings, config.pad_token_id or 0
    teacher = teacher.to(device).eval()
    with console.progress("teacher", len(data)) as advance, torch.inference_mode():
        start = 0
        while start < len(order):
            length = padded_length(int(data.lengths[order[start]]), longest)
            indices = order[start : start + max(1, min(512, TOKENS_PER_BATCH // length))]
            batch = {
                name: t.to(device) for name, t in padded(torch_batch(data, indices, pad_id), length, pad_id).items()
            }
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                output = teacher(
                    batch["input_ids"], batch["attention_mask"], batch["token_type_ids"], output_hidden_states=True
                )
            kept = torch.stack([output.hidden_states[state].to(torch.float16) for state in states], dim=2)
            file.write(data, indices, kept.cpu().numpy())
            values = output.logits[batch["attention_mask"].bool()] if per_token else output.logits
            logits[data.rows(indices) if per_token else indices] = values.float().cpu().numpy()
            start += len(indices)
            advance(len(indices))
    np.save(folder / "logits.npy", logits)
    np.save(folder / "states.npy", np.array(states))
    return_free_memory()
