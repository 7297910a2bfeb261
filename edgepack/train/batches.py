"""The batches of a stage, read one ahead of the step that needs them.

Which examples a step sees follows from seed and step alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edgepack.inference import torch_batch
from edgepack.machine.memory import return_free_memory
from edgepack.task.encoded import Encoded
from edgepack.train.processes import Share, shares_of
from edgepack.train.state_budget import DISK, LOOP, NONE
from edgepack.train.teacher_outputs import AlignedBatch, TeacherOutputs, padded, padded_length

RETURN_EVERY = 32  # batches between returns of freed memory, 20 ms each


@dataclass(frozen=True, eq=False)
class Batch:
    """A piece of a batch: `inputs` as `torch_batch` gives them, and the teacher's outputs."""

    share: Share
    inputs: dict[str, Tensor]
    teacher_logits: Tensor
    teacher_hidden: Tensor | None  # fp16 (batch, seq, states, H), those that are on disk
    aligned: AlignedBatch | None = None  # as the teacher in the loop reads it, where its tokens are others

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        if device.type == "cpu":
            return self

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True)

        inputs = {name: move(tensor) for name, tensor in self.inputs.items()}
        hidden = self.teacher_hidden
        aligned = None if self.aligned is None else self.aligned.mapped(move)
        return Batch(self.share, inputs, move(self.teacher_logits), None if hidden is None else move(hidden), aligned)


@dataclass(frozen=True, eq=False)
class Reader:
    """Reads batches: the data, what the teacher said about it, and which process of how many this is.

    `states`: whether any loss looks at the teacher's hidden states. `without_states`: whether examples that have none
    in a step teach anything.
    """

    data: Encoded
    teacher: TeacherOutputs
    pad_id: int
    longest: int  # positions of the student
    most_tokens: int  # padded, of one piece
    rank: int = 0
    world: int = 1
    pinned: bool = False
    states: bool = True
    without_states: bool = True
    seed: int = 0

    def read(self, indices: np.ndarray, step: int = 0) -> list[Batch]:
        """This process's pieces of a step's batch, the examples `indices`."""
        sources = self.teacher.sources(indices, self.seed, step) if self.states else None
        if sources is not None and not self.without_states:
            indices, sources = indices[sources != NONE], sources[sources != NONE]
        shares = shares_of(self.data, indices, self.rank, self.world, self.most_tokens, sources)
        return [self.read_share(share) for share in shares]

    def read_share(self, share: Share) -> Batch:
        """One piece: inputs and teacher's outputs, padded to the same length."""
        chosen = share.indices
        length = padded_length(int(self.data.lengths[chosen].max()), self.longest)
        inputs = padded(torch_batch(self.data, chosen, self.pad_id), length, self.pad_id)
        on_disk = self.states and share.source == DISK
        hidden = self.teacher.batch_hidden(self.data, chosen, length) if on_disk else None
        in_loop = self.states and share.source == LOOP
        aligned = self.teacher.batch_aligned(chosen, length) if in_loop else None
        batch = Batch(share, inputs, self.teacher.batch_logits(self.data, chosen), hidden, aligned)
        return _pin(batch) if self.pinned else batch

    def read_ahead(self, batches: Iterable[np.ndarray], first: int = 0) -> Iterator[list[Batch]]:
        """The pieces of each step's batch in turn, from step `first` on, the next being read meanwhile in a thread."""
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as thread:
            waiting: Future[list[Batch]] | None = None
            for number, indices in enumerate(batches):
                if number % RETURN_EVERY == 0:
                    return_free_memory()
                following = thread.submit(self.read, indices, first + number)
                if waiting is not None:
                    yield waiting.result()
                waiting = following
            if waiting is not None:
                yield waiting.result()


def _pin(batch: Batch) -> Batch:
    inputs = {name: tensor.pin_memory() for name, tensor in batch.inputs.items()}
    hidden = batch.teacher_hidden.pin_memory() if batch.teacher_hidden is not None else None
    aligned = None if batch.aligned is None else batch.aligned.mapped(Tensor.pin_memory)
    return Batch(batch.share, inputs, batch.teacher_logits.pin_memory(), hidden, aligned)
