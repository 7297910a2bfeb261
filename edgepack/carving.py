"""The student that training starts from: the plan's shape, carved out of the teacher by what matters to its task."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from edgepack.compress.importance import label_loss, measure_importance
from edgepack.console import Console
from edgepack.inputs import Inputs
from edgepack.plan.search import Candidate
from edgepack.recipe import Recipe, carved_shape
from edgepack.student.carve import Importance, carve, select_layers
from edgepack.student.model import Student

IMPORTANCE_BATCH = 16  # the teacher's own width, in fp32 and with gradients: 64 long texts take over a gigabyte


def carve_start(inputs: Inputs, plan: Candidate, recipe: Recipe, console: Console) -> Student:
    """Importance on labelled training examples, then the cut."""
    student = select_layers(inputs.full_student, plan.layers)
    importance = importance_of(student, inputs, recipe.importance_examples, console)
    start = carved_shape(recipe, plan.config, student.config)
    return carve(student, start, importance, torch.from_numpy(inputs.token_counts), inputs.request.seed)


def importance_of(student: Student, inputs: Inputs, examples: int, console: Console) -> Importance:
    """First-order importance of heads and units by the labels of a seeded sample of the training data."""
    train, pad = inputs.train, student.config.pad_token_id
    sample = np.random.default_rng(inputs.request.seed).permutation(len(train))[:examples]
    sample = sample[np.argsort(train.lengths[sample], kind="stable")]
    with console.progress("carve", len(sample)) as advance:

        def batches() -> Iterator[dict[str, Tensor]]:
            for start in range(0, len(sample), IMPORTANCE_BATCH):
                chosen = sample[start : start + IMPORTANCE_BATCH]
                yield train.batch(chosen, pad)
                advance(len(chosen))

        return measure_importance(student, batches(), lambda logits, batch: label_loss(logits, batch["labels"]))
