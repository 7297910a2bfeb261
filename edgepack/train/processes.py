"""Devices, processes and memory: a batch shared out over processes, and over pieces that fit in memory.

Under `accelerate launch --num_processes N` each process takes every N-th example of a batch, and of these no more
than `piece_tokens` at a time: the activations of 64 texts of 512 tokens would take gigabytes. Losses are means over
what `Loss.counted` says, so each piece weighs each loss by its part of the batch's count; gradients summed over all
pieces are then those of the whole batch, to rounding. What a loss must know of the whole batch first is measured on all
pieces before (`train/step.py`). A process whose part is empty, at the end of an epoch, computes any one example at
weight 0.

Gradients are averaged in one flat message after the backward pass instead of by DistributedDataParallel, which
would need every parameter to have a gradient in every phase, and what losses learn to be modules.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar, get_args

import numpy as np
import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.utils import broadcast_object_list
from torch import Tensor
from torch.nn import Parameter

from edgepack.compress.distil.objective import Objective
from edgepack.compress.distil.signals import Counted
from edgepack.errors import InputError
from edgepack.task.encoded import IGNORED, Encoded
from edgepack.train.state_budget import DISK, LOOP, NONE

T = TypeVar("T")
LONGEST_WAIT = timedelta(days=2)  # the other processes wait while the main one exports or runs the teacher
WEIGHTS = ("rows", "labelled", "examples", "tokens", "pairs", "text_examples", "text_tokens")  # of a `Share`
UNLABELLED = -101  # scored like a labelled row, but only the teacher knows what it is


def find_device(name: str) -> torch.device:
    """The device of this name: `auto`, `cpu`, `cuda`, `cuda:N`; `InputError` for one that is not here."""
    count = torch.cuda.device_count()
    if name == "auto":
        return torch.device("cuda:0" if count else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    kind, _, number = name.partition(":")
    if kind != "cuda" or (number and not (number.isascii() and number.isdecimal())) or name.endswith(":"):
        raise InputError(f"device is {name!r}; allowed: auto, cpu, cuda, cuda:N")
    if int(number or 0) >= count:
        raise InputError(f"device is {name!r}; this machine has {count} CUDA devices; use auto or cpu")
    return torch.device(f"cuda:{int(number or 0)}")


def make_accelerator(device: str) -> Accelerator:
    """accelerate's view of this machine, on the device of this name; bf16 wherever the device computes in it.

    `cuda:N` makes GPU N the process's own. Processes that were launched together have one each already, so there it is
    an `InputError`.
    """
    found = find_device(device)
    if ":" in device:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise InputError(f"device is {device!r}; each of several processes has a GPU of its own: use cuda")
        torch.cuda.set_device(found)
    cpu = found.type == "cpu"
    handlers = [InitProcessGroupKwargs(timeout=LONGEST_WAIT)]
    atexit.unregister(leave_group)  # once is enough, however often this is called
    atexit.register(leave_group)
    return Accelerator(cpu=cpu, mixed_precision="bf16" if has_bf16(cpu) else "no", kwargs_handlers=handlers)


def leave_group() -> None:
    """End gloo's threads while the interpreter is there: one that outlives it aborts a process that has succeeded.

    NCCL's group is left as it is: after an error its end could wait for other processes.
    """
    group = torch.distributed
    if group.is_available() and group.is_initialized() and group.get_backend() == "gloo":
        group.destroy_process_group()


def launch_problem() -> str | None:
    """What to say of `accelerate launch --cpu --num_processes N`, which starts one process; None for other launches.

    accelerate leaves several CPU processes to MPI there, and counts on its variables; `--multi_gpu` starts them itself.
    """
    alone = not {"WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"} & set(os.environ)
    if alone and os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true" and "MASTER_ADDR" in os.environ:
        return (
            "accelerate launch --cpu started one process, whatever --num_processes says; for several on CPUs give "
            "--multi_gpu instead of --cpu"
        )
    return None


def has_bf16(cpu: bool) -> bool:
    """Whether bf16 matrix products are native here (on older CPUs they are emulated, slower than fp32)."""
    if not cpu:
        return torch.cuda.is_bf16_supported()
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def piece_tokens(device: torch.device) -> int:
    """Padded tokens to compute at a time: of a few hundred MB on a CPU, of a few GB on a GPU."""
    return 1024 if device.type == "cpu" else 32_768


@dataclass(frozen=True, eq=False)
class Share:
    """A piece of a batch, and its weight for each kind of mean (1 where it is the whole batch).

    `examples`, `tokens` and `pairs` are parts of those of the batch that have the teacher's states; `text_examples` and
    `text_tokens` of all that there are. `source`: where the states of the piece come from.
    """

    indices: np.ndarray
    rows: float = 1.0
    labelled: float = 1.0
    examples: float = 1.0
    tokens: float = 1.0
    pairs: float = 1.0
    text_examples: float = 1.0
    text_tokens: float = 1.0
    source: int = DISK

    def weigh(self, objective: Objective) -> Objective:
        """The objective with each loss's weight times this share's."""
        parts: dict[Counted, float] = {kind: getattr(self, kind) for kind in get_args(Counted)}
        if all(part == 1.0 for part in parts.values()):
            return objective
        return Objective(tuple(replace(loss, weight=loss.weight * parts[loss.counted]) for loss in objective.losses))


def shares_of(
    data: Encoded, indices: np.ndarray, rank: int, world: int, most_tokens: int, sources: np.ndarray | None = None
) -> list[Share]:
    """The pieces of process `rank` of `world`, of at most `most_tokens` padded tokens or one example each.

    Over all pieces of all processes a loss's weights sum to `world`, as gradients are averaged over processes.
    `sources`: where each example's states come from; None: from disk. Examples of different sources are in different
    pieces, and each process has one with states, at weight 0 where none is its own.
    """
    found = np.full(len(indices), DISK) if sources is None else sources
    own, own_sources = indices[rank::world], found[rank::world]
    parts = [
        (source, piece)
        for source in (DISK, LOOP, NONE)
        for piece in _pieces(data, own[own_sources == source], most_tokens)
    ]
    if sources is None and world == len(parts) == 1:
        return [Share(own)]
    known, whole = np.flatnonzero(found != NONE), _counts(data, indices)
    with_states = whole if len(known) == len(indices) else _counts(data, indices[known])
    shares = [_weighed(data, piece, source, world, (whole, with_states)) for source, piece in parts]
    if any(source != NONE for source, _ in parts):
        return shares
    return [Share(indices[known[:1]], source=int(found[known[0]]), **dict.fromkeys(WEIGHTS, 0.0)), *shares]


def _pieces(data: Encoded, examples: np.ndarray, most_tokens: int) -> list[np.ndarray]:
    """The examples in halves of halves, as small as the tokens ask for: of few sizes."""
    if not len(examples):
        return []
    longest = int(data.lengths[examples].max())
    needed = -(-len(examples) // max(1, most_tokens // longest))
    return np.array_split(examples, min(len(examples), 1 << (needed - 1).bit_length()))


def _counts(data: Encoded, examples: np.ndarray) -> np.ndarray:
    """Of these examples: rows, labelled rows, examples, tokens, pairs of tokens."""
    lengths = data.lengths[examples]
    rows, labelled = _rows(data, examples)
    return np.array([rows, labelled, len(examples), lengths.sum(), (lengths**2).sum()], dtype=np.float64)


def _weighed(data: Encoded, piece: np.ndarray, source: int, world: int, batch: tuple[np.ndarray, np.ndarray]) -> Share:
    """A piece with its parts of the batch's counts: of all examples, of those with states."""
    own, (whole, with_states) = _counts(data, piece), batch
    parts = world * own / np.maximum(whole, 1)
    states = world * own / np.maximum(with_states, 1) if source != NONE else np.zeros_like(own)
    weights = [*parts[:2], *states[2:], *parts[2:4]]
    return Share(piece, source=source, **dict(zip(WEIGHTS, map(float, weights), strict=True)))


def _rows(data: Encoded, examples: np.ndarray) -> tuple[int, int]:
    """How many rows the examples have for prediction losses, and how many of these the data has labels of."""
    labels = data.labels[data.rows(examples) if data.per_token else examples]
    if labels.ndim == 2:  # of a set, each label is known or none is
        labels = labels[:, 0]
    if labels.dtype.kind == "f":  # scores, of which those that only the teacher knows are no numbers
        return len(examples), int(np.isfinite(labels).sum())
    scored = labels != IGNORED
    return int(scored.sum()) if data.per_token else len(examples), int((scored & (labels != UNLABELLED)).sum())


def average_gradients(parameters: Iterable[Parameter], accelerator: Accelerator) -> None:
    """Replace every gradient by its mean over the processes; what the phase's losses do not reach has none in any."""
    if accelerator.num_processes == 1:
        return
    own = [(p, p.grad) for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for _, gradient in own])
    torch.distributed.all_reduce(flat)
    flat /= accelerator.num_processes
    for (parameter, _), gradient in zip(own, flat.split([g.numel() for _, g in own]), strict=True):
        parameter.grad = gradient.view_as(parameter)


def average(value: Tensor, accelerator: Accelerator) -> Tensor:
    """The mean over the processes."""
    if accelerator.num_processes == 1:
        return value
    total = value.detach().clone()
    torch.distributed.all_reduce(total)
    return total / accelerator.num_processes


def same_view(accelerator: Accelerator, look: Callable[[], bool]) -> bool:
    """What `look` gives, in every process: none looks while the main one writes, and it writes when all have looked."""
    accelerator.wait_for_everyone()
    seen = look()
    accelerator.wait_for_everyone()
    return seen


def from_main(accelerator: Accelerator, value: T) -> T:
    """The main process's value, in every process."""
    held = [value]
    if accelerator.num_processes > 1:
        broadcast_object_list(held)
    return held[0]
