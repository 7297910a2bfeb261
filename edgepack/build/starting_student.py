"""The student that training starts from: the plan's shape, carved out of the teacher by what matters to its task.

Hidden width first, since everything else is judged in it; then what `student/carve.py` does; then low rank, with the
error weighed by what the carved student's matrices read. Widths of single matrices are measured here too, on the
student that is about to be trained in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from edgepack.build.inputs import Inputs
from edgepack.build.recipe import Recipe, carved_shape
from edgepack.compress.carve import Importance, carve, factorize_matrices, select_layers
from edgepack.compress.hidden_width import compensate, cut_hidden, hidden_importance
from edgepack.compress.importance import label_loss, measure_importance
from edgepack.compress.low_rank import fisher_moments, input_moments
from edgepack.compress.sensitivity import measure_sensitivity
from edgepack.console import Console
from edgepack.memory import return_free_memory
from edgepack.plan.candidate import Candidate
from edgepack.plan.mixed_widths import choose_widths
from edgepack.student.config import changed_config
from edgepack.student.model import Student
from edgepack.task.encoded import Encoded
from edgepack.train import Progress

BATCH_TOKENS = 512  # the teacher's own width, in fp32 and with gradients: 64 long texts take over a gigabyte
FITTED_EXAMPLES = 512  # whose states are held in memory at once, to fit norms and matrices to
SENSITIVITY_EXAMPLES = 256  # run once for each matrix and width


def carve_start(inputs: Inputs, plan: Candidate, recipe: Recipe, examples: Encoded, console: Console) -> Progress:
    """Importance on labelled training examples, then the cut. `examples` are training examples in the student's ids."""
    student, hidden_map = select_layers(inputs.load_full_student(), plan.layers), None
    if plan.config.hidden_size < student.config.hidden_size:
        student, hidden_map = narrow_stream(student, plan.config.hidden_size, inputs, recipe, console)
    importance = importance_of(student, inputs, recipe.importance_examples, console)
    start = carved_shape(recipe, plan.config, student.config)
    counts, seed = torch.from_numpy(inputs.token_counts), inputs.request.seed
    carved = carve(student, changed_config(start, ranks=None), importance, counts, seed)
    if any(rank for ranks in (start.ranks or {}).values() for rank in ranks):
        moments = moments_of(carved, examples, seed, recipe, console)
        carved = factorize_matrices(carved, start.ranks or {}, moments)
    return Progress(carved, {}, 0, [], hidden_map=hidden_map)


def importance_of(student: Student, inputs: Inputs, examples: int, console: Console) -> Importance:
    """First-order importance of heads and units by the labels of a seeded sample of the training data."""
    with sampled("carve", inputs.train, student, examples, inputs.request.seed, console) as batches:
        return measure_importance(student, batches, example_loss)


def narrow_stream(
    student: Student, width: int, inputs: Inputs, recipe: Recipe, console: Console
) -> tuple[Student, Tensor]:
    """`width` hidden dimensions by first-order importance, and `(H, width)`: 1 where a dimension became which."""
    train, seed = inputs.train, inputs.request.seed
    with sampled("carve", train, student, recipe.importance_examples, seed, console) as batches:
        scores = hidden_importance(student, batches, example_loss)
    kept = torch.topk(scores.hidden, width).indices.sort().values
    head = None
    if scores.head is not None and len(scores.head) == len(scores.hidden):
        head = torch.topk(scores.head, width).indices.sort().values
    with sampled("carve", train, student, FITTED_EXAMPLES, seed, console) as batches:
        fitted = compensate(cut_hidden(student, kept, head), student, kept, list(batches), head)
    return fitted, torch.eye(len(scores.hidden))[:, kept]


def moments_of(
    student: Student, examples: Encoded, seed: int, recipe: Recipe, console: Console
) -> dict[str, Tensor] | None:
    """What the error of a factorized matrix is weighed by, as the recipe says; None: by nothing."""
    if recipe.rank_weights == "none":
        return None
    with sampled("carve", examples, student, recipe.importance_examples, seed, console) as batches:
        if recipe.rank_weights == "fisher":
            return fisher_moments(student, batches, example_loss)
        return input_moments(student, batches)


def widths_of(student: Student, plan: Candidate, inputs: Inputs, examples: Encoded, console: Console) -> dict[str, int]:
    """Widths of the matrices that are to differ from the plan's, by sensitivity on training examples."""
    choices = sorted(set.intersection(*(set(target.body_bits) for target in inputs.targets)))
    with sampled("widths", examples, student, SENSITIVITY_EXAMPLES, inputs.request.seed, console) as batches:
        sensitivity = measure_sensitivity(student, list(batches), None, choices)
    return choose_widths(sensitivity, plan.config, inputs.targets)


@contextmanager
def sampled(
    name: str, data: Encoded, student: Student, examples: int, seed: int, console: Console
) -> Iterator[Iterator[dict[str, Tensor]]]:
    """Batches of a seeded sample, the shortest first, with a progress bar."""
    sample = np.random.default_rng(seed).permutation(len(data))[:examples]
    sample = sample[np.argsort(data.lengths[sample], kind="stable")]
    with console.progress(name, len(sample)) as advance:

        def batches() -> Iterator[dict[str, Tensor]]:
            start = 0
            while start < len(sample):
                # the shortest first: as many as the next one's length allows
                count = max(1, BATCH_TOKENS // int(data.lengths[sample[start]]))
                chosen = sample[start : start + count]
                chosen = chosen[: max(1, BATCH_TOKENS // int(data.lengths[chosen[-1]]))]
                yield data.batch(chosen, student.config.pad_token_id)
                start += len(chosen)
                advance(len(chosen))

        yield batches()
    return_free_memory()


def example_loss(logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Cross-entropy with a batch's labels, summed."""
    return label_loss(logits, batch["labels"])
