"""What the teacher says about the training data, computed once and kept on disk.

Flat arrays beside `Encoded`: `logits.npy`, fp32, `(n, C)` or `(T, C)`, and `hidden.npy`, fp16,
`(T, layers + 1, H)`, read by memory map a batch at a time. A distillation step then costs no teacher
forward pass, which at these sizes is most of a step. fp16 hidden states are post-norm values of order 1,
so their rounding (2⁻¹¹ relative) is far below what a student can follow. Disk: 2·H·(layers + 1) bytes a token.
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


@dataclass(frozen=True)
class TeacherOutputs:
    """Memory-mapped teacher outputs for one encoded data set."""

    logits: np.ndarray
    hidden: np.ndarray
    states: tuple[int, ...]  # which hidden states to use: 0 is the embedding's, i + 1 layer i's

    def batch_logits(self, data: Encoded, indices: np.ndarray) -> Tensor:
        """Logits of the examples: `(batch, C)`, or `(tokens, C)` in the order of `data.rows`."""
        rows = data.rows(indices) if len(self.logits) != len(data) else indices
        return torch.from_numpy(self.logits[rows])

    def batch_hidden(self, data: Encoded, indices: np.ndarray) -> Tensor:
        """fp16 hidden states, padded on the right with zeros: `(batch, seq, states, H)`."""
        lengths = data.lengths[indices]
        padded = np.zeros((len(lengths), lengths.max(), len(self.states), self.hidden.shape[2]), np.float16)
        for row, example in enumerate(indices):
            padded[row, : lengths[row]] = self.hidden[data.offsets[example] : data.offsets[example + 1], self.states]
        return torch.from_numpy(padded)


def load_teacher_outputs(folder: Path, layers: Sequence[int]) -> TeacherOutputs:
    """Open what `save_teacher_outputs` wrote, for a student whose layers are the teacher's `layers`."""
    states = (0, *(layer + 1 for layer in layers))
    return TeacherOutputs(np.load(folder / "logits.npy"), np.load(folder / "hidden.npy", mmap_mode="r"), states)


def save_teacher_outputs(
    teacher: Student, data: Encoded, folder: Path, console: Console, *, device: torch.device, bf16: bool
) -> None:
    """Run `teacher` (as a student of its own shape) over `data` and write its outputs to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    config = teacher.config
    tokens = int(data.offsets[-1])
    per_token = config.task == "token-classification"
    shape = (tokens, config.num_hidden_layers + 1, config.hidden_size)
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
            for layer, states in enumerate(output.hidden_states):
                hidden[rows, layer] = states[real].to(torch.float16).cpu().numpy()
            values = output.logits[real] if per_token else output.logits
            logits[rows if per_token else indices] = values.float().cpu().numpy()
            start += len(indices)
            advance(len(indices))
    hidden.flush()
    np.save(folder / "logits.npy", logits)
