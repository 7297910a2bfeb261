"""Labelled training examples that carving measures on: a seeded sample, run through a student in small batches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from edgepack.console import Console
from edgepack.inference import torch_batch
from edgepack.machine.memory import return_free_memory
from edgepack.student.model import Student
from edgepack.task.encoded import Encoded

BATCH_TOKENS = 512  # of a teacher's size, in fp32 and with gradients: 64 long texts take over a gigabyte


@dataclass(frozen=True, eq=False)
class Examples:
    """`data` in the token ids of the students that it is run through; `count` examples of it by default."""

    data: Encoded
    seed: int
    count: int
    console: Console
    name: str = "carve"  # of the progress bar

    @contextmanager
    def sample(self, student: Student, count: int | None = None) -> Iterator[Iterator[dict[str, Tensor]]]:
        """Batches of a seeded sample, the shortest first, with a progress bar; the same for the same seed and count."""
        data = self.data
        sample = np.random.default_rng(self.seed).permutation(len(data))[: count or self.count]
        sample = sample[np.argsort(data.lengths[sample], kind="stable")]
        with self.console.progress(self.name, len(sample)) as advance:

            def batches() -> Iterator[dict[str, Tensor]]:
                start = 0
                while start < len(sample):
                    # the shortest first: as many as the next one's length allows
                    most = max(1, BATCH_TOKENS // int(data.lengths[sample[start]]))
                    chosen = sample[start : start + most]
                    chosen = chosen[: max(1, BATCH_TOKENS // int(data.lengths[chosen[-1]]))]
                    yield torch_batch(data, chosen, student.config.pad_token_id)
                    start += len(chosen)
                    advance(len(chosen))

            yield batches()
        return_free_memory()
