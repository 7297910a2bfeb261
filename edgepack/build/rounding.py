"""What is decided of a student that is about to be rounded: widths of single matrices, and steps that are learned.

Each is the work of a stage between training without rounding and training with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edgepack.build.inputs import Inputs
from edgepack.build.recipe_settings import Recipe
from edgepack.build.training_data import TrainingData
from edgepack.compress.examples import Examples
from edgepack.compress.sensitivity import measure_sensitivity
from edgepack.console import Console
from edgepack.plan.candidate import Candidate
from edgepack.plan.mixed_widths import choose_widths
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.task.encoded import Encoded
from edgepack.train import Progress, read_result, write_result
from edgepack.workspace import Stage

SENSITIVITY_EXAMPLES = 256  # run once for each matrix and bit width

Decision = Callable[[Student], None]


def decisions(
    recipe: Recipe, inputs: Inputs, candidate: Candidate, data: TrainingData, console: Console
) -> Iterator[tuple[str, Decision]]:
    """The recipe's decisions by the names of their stages, in order; each changes a student."""
    if recipe.mixed_widths:

        def choose(student: Student) -> None:
            student.config.widths = widths_of(student, candidate, inputs, data.own_examples, console)

        yield "widths", choose
    if recipe.learned_scales:
        yield "scales", lambda student: begin_scales(student, candidate.config, console)


def decided(before: Stage, decision: Decision) -> Callable[[Stage], None]:
    """The work of a stage: the student of the stage `before` after a decision."""

    def write(stage: Stage) -> None:
        progress: Progress = read_result(before)
        decision(progress.student)
        write_result(stage, progress)

    return write


def widths_of(
    student: Student, candidate: Candidate, inputs: Inputs, examples: Encoded, console: Console
) -> dict[str, int]:
    """Bit widths of the matrices that are to differ from the candidate's, by sensitivity on training examples."""
    choices = sorted(set.intersection(*(set(target.body_bits) for target in inputs.targets)))
    sampled = Examples(examples, inputs.request.seed, SENSITIVITY_EXAMPLES, console, "widths")
    with sampled.sample(student) as batches:
        sensitivity = measure_sensitivity(student, list(batches), choices, console=console)
    found = choose_widths(sensitivity, candidate.config, inputs.targets)
    if not found:
        bits = candidate.config.body_bits
        console.warn(f"mixed_widths: every matrix stays at {bits} bits: no other choice in the same bytes is better")
    return found


def begin_scales(student: Student, shape: StudentConfig, console: Console) -> None:
    """Make the steps of matrices' blocks parameters, which begin as the planned widths have them."""
    student.set_bits(shape.body_bits, shape.embedding_bits)
    if not any(matrix.width.in_blocks for matrix in student.matrices()):
        console.warn(f"learned_scales: none are learned: matrices at {shape.body_bits} bits have no blocks")
        return
    student.learn_scales()
