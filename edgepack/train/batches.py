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
from edgepack.memory import return_free_memory
from edgepack.task.encoded import Encoded, length_buckets
from edgepack.train.processes import Share, shares_of
from edgepack.train.schedule import steps_per_epoch
from edgepack.train.teacher_outputs import TeacherOutputs, padded, padded_length

RETURN_EVERY = 32  # batches between returns of freed memory, 20 ms each


@dataclass(frozen=True, eq=False)
class Batch:
    """A piece of a batch: `inputs` as `torch_batch` gives them, and the teacher's outputs."""

    share: Share
    inputs: dict[str, Tensor]
    teacher_logits: Tensor
    teacher_hidden: Tensor  # fp16 (batch, seq, states, H)

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        if device.type == "cpu":
            return self

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True)

        inputs = {name: move(tensor) for name, tensor in self.inputs.items()}
        return Batch(self.share, inputs, move(self.teacher_logits), move(self.teacher_hidden))


@dataclass(frozen=True, eq=False)
class Reader:
    """Reads batches: the data, what the teacher said about it, and which process of how many this is."""

    data: Encoded
    teacher: TeacherOutputs
    pad_id: int
    longest: int  # positions of the student
    most_tokens: int  # padded, of one piece
    rank: int = 0
    world: int = 1
    pinned: bool = False

    def read(self, indices: np.ndarray) -> list[Batch]:
        """This process's pieces of the batch of examples `indices`."""
        shares = shares_of(self.data, indices, self.rank, self.world, self.most_tokens)
        return [self.read_share(share) for share in shares]

    def read_share(self, share: Share) -> Batch:
        """One piece: inputs and teacher's outputs, padded to the same length."""
        chosen = share.indices
        length = padded_length(int(self.data.lengths[chosen].max()), self.longest)
        inputs = padded(torch_batch(self.data, chosen, self.pad_id), length, self.pad_id)
        batch = Batch(
            share,
            inputs,
            self.teacher.batch_logits(self.data, chosen),
            self.teacher.batch_hidden(self.data, chosen, length),
        )
        return _pin(batch) if self.pinned else batch

    def read_ahead(self, batches: Iterable[np.ndarray]) -> Iterator[list[Batch]]:
        """The pieces of each batch in turn, the next being read meanwhile in a thread."""
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as thread:
            waiting: Future[list[Batch]] | None = None
            for number, indices in enumerate(batches):
                if number % RETURN_EVERY == 0:
                    return_free_memory()
                following = thread.submit(self.read, indices)
                if waiting is not None:
                    yield waiting.result()
                waiting = following
            if waiting is not None:
                yield waiting.result()


def _pin(batch: Batch) -> Batch:
    inputs = {name: tensor.pin_memory() for name, tensor in batch.inputs.items()}
    return Batch(batch.share, inputs, batch.teacher_logits.pin_memory(), batch.teacher_hidden.pin_memory())


def batch_indices(data: Encoded, batch_size: int, seed: int, first: int, last: int) -> Iterator[np.ndarray]:
    """The batches of steps `first` up to `last`; a step's batch depends on seed and step alone."""
    per_epoch = steps_per_epoch(len(data), batch_size)
    step = first
    while step < last:
        epoch = step // per_epoch
        for batch in length_buckets(data.lengths, batch_size, seed, epoch)[step % per_epoch :]:
            yield batch
            step += 1
            if step == last:
                return
