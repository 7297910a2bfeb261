"""What the teacher says about the training data, computed once and kept on disk.

Flat arrays beside `Encoded`: `logits.npy`, fp32, `(n, C)` or `(T, C)`, and `hidden.npy`, fp16,
`(T, layers + 1, H)`, read by memory map a batch at a time. A distillation step then costs no teacher
forward pass, which at these sizes is most of a step. fp16 hidden states are post-norm values of order 1,
so their rounding (2⁻¹¹ relative) is far below what a student can follow. Disk: 2·H·states bytes a token, `DISK_BYTES`
at most: with a large teacher or much data fewer hidden states are kept, evenly spread and the last among them, and
where even `FEWEST_STATES` are too much, a seeded sample of the examples is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edgepack.console import Console
from edgepack.encoding import Encoded
from edgepack.student.model import Student

TOKENS_PER_BATCH = 4096
DISK_BYTES = 8_000_000_000  # of hidden states: still page cache on a machine of ordinary size
FEWEST_STATES = 3


@dataclass(frozen=True)
class TeacherOutputs:
    """Memory-mapped teacher outputs for one encoded data set."""

    logits: np.ndarray
    hidden: np.ndarray
    columns: tuple[int, ...]  # which stored hidden states to use
    student_states: tuple[int, ...]  # and which of the student's each belongs to: 0 is the embedding's, i + 1 layer i's

    def batch_logits(self, data: Encoded, indices: np.ndarray) -> Tensor:
        """Logits of the examples: `(batch, C)`, or `(tokens, C)` in the order of `data.rows`."""
        rows = data.rows(indices) if len(self.logits) != len(data) else indices
        return torch.from_numpy(self.logits[rows])

    def batch_hidden(self, data: Encoded, indices: np.ndarray) -> Tensor:
        """fp16 hidden states, padded on the right with zeros: `(batch, seq, states, H)`."""
        lengths = data.lengths[indices]
        padded = np.zeros((len(lengths), lengths.max(), len(self.columns), self.hidden.shape[2]), np.float16)
        for row, example in enumerate(indices):
            padded[row, : lengths[row]] = self.hidden[data.offsets[example] : data.offsets[example + 1], self.columns]
        return torch.from_numpy(padded)


def load_teacher_outputs(folder: Path, layers: Sequence[int]) -> TeacherOutputs:
    """Open what `save_teacher_outputs` wrote, for a student whose layers are the teacher's `layers`."""
    stored = np.load(folder / "states.npy").tolist()
    wanted = [0, *(layer + 1 for layer in layers)]
    pairs = [(stored.index(state), i) for i, state in enumerate(wanted) if state in stored]
    columns, student_states = tuple(c for c, _ in pairs), tuple(i for _, i in pairs)
    hidden = np.load(folder / "hidden.npy", mmap_mode="r")
    return TeacherOutputs(np.load(folder / "logits.npy"), hidden, columns, student_states)


def choose_states(layers: Sequence[int], width: int, tokens: int) -> list[int]:
    """The teacher's hidden states to keep: the embedding's and those of `layers`, or as many of them as fit on disk."""
    wanted = [0, *(layer + 1 for layer in layers)]
    fitting = max(FEWEST_STATES, DISK_BYTES // (2 * width * max(1, tokens)))
    if len(wanted) <= fitting:
        return wanted
    return [wanted[round(i * (len(wanted) - 1) / (fitting - 1))] for i in range(fitting)]


def choose_examples(lengths: np.ndarray, width: int, seed: int) -> np.ndarray:
    """Indices of the examples to train on, sorted: all, or a seeded sample whose outputs fit on disk."""
    most_tokens = DISK_BYTES // (2 * width * FEWEST_STATES)
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
) -> None:
    """Run `teacher` (a student of its own shape) over `data`; write its logits and the states of `layers`."""
    folder.mkdir(parents=True, exist_ok=True)
    config = teacher.config
    tokens = int(data.offsets[-1])
    per_token = config.task == "token-classification"
    states = choose_states(layers, config.hidden_size, tokens)
    shape = (tokens, len(states), config.hidden_size)
    hidden = np.lib.format.open_memmap(folder / "hidden.npy", mode="w+", dtype=np.float16, shape=shape)
    logits = np.zeros((tokens if per_token else len(data), config.num_labels), np.float32)
    order = np.argsort(data.lengths, kind="stable")
    teacher = teacher.to(device).eval()
    with console.progress("teacher", len(data)) as advance, torch.inference_mode():
        start = 0
        while start < len(order):
            longest = int(data.lengths[order[min(start + 511, len(order) - 1)]])
            indices = order[start : start + max(1, min(512, TOKENS_PER_BATCH // longest))]
            batch = {name: tensor.to(device) for name, tensor in data.batch(indices).items()}
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                output = teacher(
                    batch["input_ids"], batch["attention_mask"], batch["token_type_ids"], output_hidden_states=True
                )
            real, rows = batch["attention_mask"].bool(), data.rows(indices)
            for column, state in enumerate(states):
                hidden[rows, column] = output.hidden_states[state][real].to(torch.float16).cpu().numpy()
            values = output.logits[real] if per_token else output.logits
            logits[rows if per_token else indices] = values.float().cpu().numpy()
            start += len(indices)
            advance(len(indices))
    hidden.flush()
    np.save(folder / "logits.npy", logits)
    np.save(folder / "states.npy", np.array(states))
