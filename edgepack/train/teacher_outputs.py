"""The teacher's outputs on the training data: computed once and kept on disk, or for a part of each batch in the loop.

Flat arrays, laid out as in `Encoded`: `logits.npy`, fp32, `(n, C)` or `(T, C)`, and `hidden.npy` with the hidden
states (`state_file.py`) of the examples that `state_budget.py` chose. With all states on disk a distillation step costs
no teacher forward pass, which at these sizes is most of a step. Of the examples without, a share of each batch gets its
states from the teacher itself, in the same precision and rounded to fp16 too; the others teach predictions alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
import torch
from accelerate import cpu_offload
from torch import Tensor, nn
from torch.nn import functional as F

from edgepack.compress.distil.vectors import choose_anchors
from edgepack.console import Console
from edgepack.inference import torch_batch
from edgepack.machine.memory import return_free_memory
from edgepack.student.from_table import OwnTeacher
from edgepack.student.model import Attention, Student
from edgepack.task.alignment import Alignment
from edgepack.task.encoded import IGNORED, Encoded
from edgepack.train.random import STATES, step_generator
from edgepack.train.state_budget import DISK, LOOP, NONE, KeptStates
from edgepack.train.state_file import HiddenFile, create_hidden_file, open_hidden_file

TOKENS_PER_BATCH = 2048
LENGTH_MULTIPLE = 4  # of short texts; each new length makes the matrix library build and keep another set of kernels
HIDDEN_FILE = "hidden.npy"
GPU_SHARE = 0.7  # of a GPU's free memory that weights may take: the rest is for a batch
STUDENT_BLOCKS = ["Embeddings", "Attention", "FeedForward", "Head"]  # whose matrices are read outside their own call


@dataclass(frozen=True, eq=False)
class AlignedBatch:
    """A batch in the teacher's tokens, and the student's by these: `weights (batch, seq, teacher seq)`."""

    inputs: dict[str, Tensor]
    weights: Tensor

    def mapped(self, move: Callable[[Tensor], Tensor]) -> AlignedBatch:
        """With every tensor moved."""
        return AlignedBatch({name: move(tensor) for name, tensor in self.inputs.items()}, move(self.weights))


@dataclass(frozen=True, eq=False)
class LoopTeacher:
    """The teacher, to run on a part of a batch: a frozen student of its own shape, or its own model.

    `token_map`: its token id by the student's; None: the same ids.
    """

    model: Student | OwnTeacher
    states: tuple[int, ...]
    token_map: Tensor | None = None
    bf16: bool = False
    first_token: bool = False

    def run(self, inputs: dict[str, Tensor], aligned: AlignedBatch | None = None) -> Tensor:
        """States of a batch in the student's ids, fp16 `(batch, seq, states, H)`, zeros at padding.

        `aligned`: the batch as the teacher reads it, where that is another.
        """
        if aligned is not None:
            with torch.no_grad():
                _, states = run_teacher(self.model, aligned.inputs, self.states, self.bf16)
                states = weighted_states(states, aligned.inputs["attention_mask"], aligned.weights)
            return states[:, :1] if self.first_token else states
        ids = inputs["input_ids"]
        own = {**inputs, "input_ids": ids if self.token_map is None else self.token_map[ids]}
        with torch.no_grad():
            _, states = run_teacher(self.model, own, self.states, self.bf16)
            states = states * inputs["attention_mask"][:, :, None, None].to(states.dtype)
        return states[:, :1] if self.first_token else states

    def to(self, device: torch.device) -> LoopTeacher:
        """The same on `device`; a copy of the teacher only where it is on another."""
        moved = self.token_map.to(device) if self.token_map is not None else None
        model = self.model if self.model.device == device else deepcopy(self.model).to(device)
        return replace(self, model=model.eval(), token_map=moved)


@dataclass(frozen=True, eq=False)
class TeacherOutputs:
    """The teacher's outputs for one encoded data set.

    `hidden`: the file of states, None where none is kept; `first_rows`: each example's first row there, or −1.
    `pairs`: which of the student's states (0 is the embedding's, `i + 1` layer `i`'s) belongs to which kept one.
    `inputs`: for each of the student's layers, the kept state that enters its teacher layer; None where no loss asked
    for it. `attention`: the teacher's own attention by the student's layers, for losses that compare queries, keys and
    values. `in_loop` runs for examples without states on disk. `alignment`: of another tokenizer's tokens, the
    student's, with the teacher's; what is on disk is of the student's.
    """

    logits: np.ndarray
    kept: KeptStates
    hidden_size: int
    hidden: HiddenFile | None
    first_rows: np.ndarray
    pairs: tuple[tuple[int, int], ...]
    inputs: tuple[int | None, ...] = ()
    attention: tuple[Attention, ...] = ()
    in_loop: LoopTeacher | None = None
    alignment: Alignment | None = None
    pad_id: int = 0  # of the teacher, in the loop
    scale: float = 1.0  # of scores: the standard deviation of the logits

    @cached_property
    def anchors(self) -> Tensor:
        """Some of the vectors of a teacher that embeds, always the same ones."""
        return choose_anchors(torch.from_numpy(self.logits))

    def batch_logits(self, data: Encoded, indices: np.ndarray) -> Tensor:
        """Logits of the examples: `(batch, C)`, or `(tokens, C)` in the order of `data.rows`."""
        rows = data.rows(indices) if len(self.logits) != len(data) else indices
        return torch.from_numpy(self.logits[rows])

    def batch_hidden(self, data: Encoded, indices: np.ndarray, length: int | None = None) -> Tensor:
        """fp16 states from disk, padded on the right with zeros to `length` (default: the longest).

        `(batch, seq, states, H)`; `(batch, 1, states, H)` where the first token's alone are kept.
        """
        assert self.hidden is not None, "no states are kept on disk"
        counts = np.ones(len(indices), np.int64) if self.kept.first_token else data.lengths[indices]
        longest = int(counts.max()) if length is None or self.kept.first_token else length
        return torch.from_numpy(self.hidden.read(self.first_rows[indices], counts, longest))

    def batch_aligned(self, indices: np.ndarray, length: int) -> AlignedBatch | None:
        """What the teacher reads of these examples where its tokens are not the student's, of which there are `length`.

        None where they are.
        """
        if self.alignment is None:
            return None
        data = self.alignment.teacher
        longest = int(data.lengths[indices].max())
        weights = self.alignment.matrix(indices, length, longest)
        return AlignedBatch(torch_batch(data, indices, self.pad_id), torch.from_numpy(weights))

    def sources(self, indices: np.ndarray, seed: int, step: int) -> np.ndarray | None:
        """Where the states of a step's examples come from (`DISK`, `LOOP`, `NONE`); None: all from disk.

        Follows from seed and step. At least one example has states.
        """
        missing = np.flatnonzero(self.first_rows[indices] < 0)
        if not len(missing):
            return None
        found = np.full(len(indices), DISK)
        found[missing] = NONE
        wanted = max(int(len(missing) == len(indices)), round(self.kept.loop_share * len(missing)))
        chosen = torch.randperm(len(missing), generator=step_generator(seed, step, STATES))[:wanted]
        found[missing[chosen.numpy()]] = LOOP
        return found

    def to(self, device: torch.device) -> TeacherOutputs:
        """The same with the teacher's modules on `device`."""
        attention = tuple(deepcopy(module).to(device) for module in self.attention)
        return replace(self, attention=attention, in_loop=self.in_loop.to(device) if self.in_loop else None)


def load_teacher_outputs(
    folder: Path,
    layers: Sequence[int],
    teacher: Student | OwnTeacher | None = None,
    token_map: Sequence[int] | None = None,
    bf16: bool = False,
    alignment: Alignment | None = None,
) -> TeacherOutputs:
    """Open what `save_teacher_outputs` wrote, for a student whose layers follow the teacher's `layers`.

    `teacher`, the student of its own shape, is needed where a loss compares queries, keys and values, and where it is
    to run in the loop; there `token_map` has its token id by the student's, if these are the same tokens.
    """
    record = json.loads((folder / "kept.json").read_text(encoding="utf-8"))
    hidden_size = int(record.pop("hidden_size"))
    first_rows = np.load(folder / "first_rows.npy")
    stored = first_rows >= 0
    examples = None if stored.all() else np.flatnonzero(stored)
    kept = KeptStates(**{**record, "states": tuple(record["states"])}, examples=examples)
    place = {state: number for number, state in enumerate(kept.states)}
    wanted = [0, *(layer + 1 for layer in layers)]
    attention: list[Attention] = []
    in_loop = None
    if isinstance(teacher, Student):  # no loss asks another for it
        sharing = teacher.config.attention_sharing or []
        attention = [cast(Attention, teacher.attention[sharing[layer]]) for layer in layers]
    if teacher is not None and kept.loop_share:
        numbers = None if token_map is None or alignment is not None else torch.as_tensor(token_map)
        in_loop = LoopTeacher(teacher.eval(), kept.states, numbers, bf16, kept.first_token)
    path, logits = folder / HIDDEN_FILE, np.load(folder / "logits.npy")
    return TeacherOutputs(
        logits=logits,
        kept=kept,
        hidden_size=hidden_size,
        hidden=open_hidden_file(path) if path.exists() else None,
        first_rows=first_rows,
        pairs=tuple((i, place[state]) for i, state in enumerate(wanted) if state in place),
        inputs=tuple(place.get(layer) for layer in layers),
        attention=tuple(attention),
        in_loop=in_loop,
        alignment=alignment,
        pad_id=0 if teacher is None else int(teacher.config.pad_token_id or 0),
        scale=spread_of(logits) if logits.shape[1] == 1 else 1.0,
    )


def spread_of(logits: np.ndarray) -> float:
    """The standard deviation of one output over the examples that were run; 1 where it is constant."""
    ran = logits[logits != 0]  # the others have exact zeros
    return float(ran.std()) if len(ran) and ran.std() > 0 else 1.0


def align_states(states: Tensor, mask: Tensor, alignment: Alignment, indices: np.ndarray) -> Tensor:
    """The teacher's states of a batch `(batch, seq, states, H)` as those of the student's tokens, fp16."""
    weights = alignment.matrix(indices, int(alignment.lengths[indices].max()), states.shape[1])
    return weighted_states(states, mask, torch.from_numpy(weights).to(states.device))


def weighted_states(states: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """`states (batch, teacher seq, states, H)` by `weights (batch, seq, teacher seq)`, fp16; zeros at padding.

    A token that is one of the teacher's has its state exactly: the product is in fp32.
    """
    real = states.float().masked_fill(~mask.bool()[:, :, None, None], 0.0)
    with torch.autocast(states.device.type, enabled=False):
        return torch.einsum("bst,btnh->bsnh", weights, real).to(torch.float16)


def token_logits(logits: Tensor, mask: Tensor, alignment: Alignment | None, indices: np.ndarray) -> Tensor:
    """The teacher's logits `(batch, seq, C)` of its real tokens, or by the student's, `(tokens, C)`."""
    if alignment is None:
        return logits[mask.bool()]
    example = np.repeat(np.arange(len(indices)), alignment.lengths[indices])
    return logits[torch.from_numpy(example), torch.from_numpy(alignment.heads[alignment.rows(indices)]).long()]


def padded_length(tokens: int, longest: int) -> int:
    """The multiple of 4 that holds `tokens`, from 32 on of 8, from 64 on of 16, and so on; no more than `longest`."""
    multiple = max(LENGTH_MULTIPLE, 1 << max(0, tokens.bit_length() - 3))
    return max(tokens, min(longest, -(-tokens // multiple) * multiple))


def padded(batch: dict[str, Tensor], length: int, pad_id: int) -> dict[str, Tensor]:
    """What `Encoded.batch` gives, its sequences padded on the right to `length`; label sets (int8) are no sequences."""
    fills = {"input_ids": pad_id, "labels": IGNORED}

    def pad(name: str, tensor: Tensor) -> Tensor:
        if tensor.dim() != 2 or tensor.dtype == torch.int8:
            return tensor
        return F.pad(tensor, (0, length - tensor.shape[1]), value=fills.get(name, 0))

    return {name: pad(name, tensor) for name, tensor in batch.items()}


def run_teacher(
    teacher: Student | OwnTeacher, batch: dict[str, Tensor], states: Sequence[int], bf16: bool
) -> tuple[Tensor, Tensor]:
    """A forward pass: logits, and the named hidden states in fp16 `(batch, seq, states, H)`."""
    with torch.autocast(batch["input_ids"].device.type, torch.bfloat16, enabled=bf16):
        output = teacher(
            batch["input_ids"], batch["attention_mask"], batch["token_type_ids"], output_hidden_states=True
        )
    kept = [output.hidden_states[state].to(torch.float16) for state in states]
    empty = output.logits.new_zeros((*batch["input_ids"].shape, 0, 0), dtype=torch.float16)
    return output.logits, torch.stack(kept, dim=2) if kept else empty


def hold_in_bf16(teacher: Student) -> Student:
    """`teacher`, which only runs under bf16 autocast from now on, with its matrices in bf16: what they are rounded to.

    Its outputs stay the same to the bit, in half the memory. A matrix at a time is read and rounded.
    """
    for matrix in teacher.matrices():
        matrix.weight = nn.Parameter(matrix.weight.detach().to(torch.bfloat16), requires_grad=False)
    return teacher


def place_teacher(teacher: Student | OwnTeacher, device: torch.device, room: int | None = None) -> Student | OwnTeacher:
    """`teacher`, ready to run on `device`, which has `room` bytes (default: what a GPU has free, anything on a CPU).

    Where its weights leave too little room there, accelerate moves each block to the device while it runs.
    """
    if room is None and device.type == "cuda":
        room = torch.cuda.mem_get_info(device)[0]
    needed = sum(parameter.numel() * parameter.element_size() for parameter in teacher.parameters())
    if room is None or needed <= GPU_SHARE * room:
        return teacher.to(device).eval()
    model = teacher if isinstance(teacher, Student) else teacher.model.model
    blocks = STUDENT_BLOCKS if isinstance(teacher, Student) else teacher.model.block_classes
    cpu_offload(model, execution_device=device, preload_module_classes=blocks)
    return teacher.eval()


def save_teacher_outputs(
    teacher: Student | OwnTeacher,
    data: Encoded,
    kept: KeptStates,
    folder: Path,
    console: Console,
    *,
    device: torch.device,
    bf16: bool,
    seen: np.ndarray | None = None,
    alignment: Alignment | None = None,
) -> None:
    """Run `teacher` (a student of its own shape) over `data`; write its logits and the states that are to be kept.

    `seen`: the examples, ascending, that training sees; None: all. The others' logits are zeros. With an `alignment`
    of which `data` are the teacher's tokens, all that is written is of the student's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = teacher.config
    written = data.lengths if alignment is None else alignment.lengths
    first = kept.first_rows(written)
    rows = int(np.where(first < 0, 0, 1 if kept.first_token else written).sum())
    file = None
    if rows and kept.states:
        file = create_hidden_file(folder / HIDDEN_FILE, (rows, len(kept.states), config.hidden_size), kept.form)
    per_token = config.per_token
    logits = np.zeros((int(written.sum()) if per_token else len(data), config.outputs), np.float32)
    chosen = np.arange(len(data)) if seen is None else seen
    teacher = place_teacher(teacher, device)
    with console.progress("teacher", len(chosen)) as advance, torch.inference_mode():
        for indices, on_cpu in _batches(data, chosen, config.max_position_embeddings, config.pad_token_id or 0):
            batch = {name: tensor.to(device) for name, tensor in on_cpu.items()}
            stored = np.flatnonzero(first[indices] >= 0) if file is not None else np.zeros(0, np.int64)
            output, states = run_teacher(teacher, batch, kept.states if len(stored) else (), bf16)
            if file is not None and len(stored):
                counts = np.ones(len(stored), np.int64) if kept.first_token else written[indices[stored]]
                found = states[torch.from_numpy(stored)]
                if alignment is not None:
                    found = align_states(found, batch["attention_mask"][stored], alignment, indices[stored])
                file.write(first[indices[stored]], counts, found.cpu().numpy())
            place = indices if not per_token else (data if alignment is None else alignment).rows(indices)
            values = token_logits(output, batch["attention_mask"], alignment, indices) if per_token else output
            logits[place] = values.float().cpu().numpy()
            advance(len(indices))
    np.save(folder / "logits.npy", logits)
    np.save(folder / "first_rows.npy", first)
    record = {"states": kept.states, "form": kept.form, "first_token": kept.first_token, "loop_share": kept.loop_share}
    (folder / "kept.json").write_text(json.dumps({**record, "hidden_size": config.hidden_size}), encoding="utf-8")
    return_free_memory()


def _batches(
    data: Encoded, chosen: np.ndarray, longest: int, pad_id: int
) -> Iterator[tuple[np.ndarray, dict[str, Tensor]]]:
    """The `chosen` examples in padded batches, the longest first: later ones fit in memory that there is."""
    lengths, start = data.lengths, 0
    order = chosen[np.argsort(-lengths[chosen], kind="stable")]
    while start < len(order):
        length = padded_length(int(lengths[order[start]]), longest)
        indices = order[start : start + max(1, min(512, TOKENS_PER_BATCH // length))]
        yield indices, padded(torch_batch(data, indices, pad_id), length, pad_id)
        start += len(indices)
