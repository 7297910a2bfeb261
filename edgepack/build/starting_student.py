"""The student that training starts from: what carving is to reach, and what it knows of the task.

The way there is the list of passes in `compress/carve.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from edgepack.build.inputs import Inputs
from edgepack.build.recipe import Recipe, carved_shape
from edgepack.compress.carve import carve
from edgepack.compress.examples import Examples
from edgepack.compress.low_rank import Ranks
from edgepack.compress.passes import Evidence, Goal, RankChoice
from edgepack.console import Console
from edgepack.plan.candidate import Candidate
from edgepack.plan.size import model_size
from edgepack.student.config import changed_config
from edgepack.target import Target
from edgepack.task.encoded import Encoded
from edgepack.train import Progress


def carve_start(inputs: Inputs, candidate: Candidate, recipe: Recipe, examples: Encoded, console: Console) -> Progress:
    """The candidate's student, carved; `examples` are the training examples in the student's token ids."""
    seed, count = inputs.request.seed, recipe.importance_examples
    teacher = inputs.load_full_student(candidate.layers)
    shape = carved_shape(recipe, candidate.config, teacher.config)
    choice = rank_choice(candidate, inputs.targets) if recipe.allocate_ranks else None
    goal = Goal(candidate.layers, shape, recipe.rank_weights, choice)
    evidence = Evidence(
        torch.from_numpy(inputs.token_counts),
        seed,
        Examples(inputs.train, seed, count, console),
        Examples(examples, seed, count, console),
    )
    carved = carve(teacher, goal, evidence)
    return Progress(carved.student, {}, 0, [], hidden_map=carved.evidence.hidden_map)


def rank_choice(candidate: Candidate, targets: Sequence[Target]) -> RankChoice:
    """Ranks whose files are no larger than the candidate's on any target.

    Below 8 bits, in multiples of a block: a factor with a part of a block would be stored at 8 bits.
    """
    shape = candidate.config

    def fits(ranks: Ranks) -> bool:
        changed = changed_config(shape, ranks=ranks)
        return all(model_size(changed, target).total <= candidate.sizes[target.name].total for target in targets)

    return RankChoice(shape.block_size if shape.body_bits < 8 else 1, fits)
