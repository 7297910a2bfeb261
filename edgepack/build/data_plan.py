"""What training will see and what that takes, known before anything is spent: passes, disk, memory. Time: `duration`.

The lengths of synthetic examples follow from the seed, so the bytes are those that the build writes. What is kept of
the teacher's hidden states is chosen in `train/state_budget.py`. Logits are kept of every example that training sees.

Memory is an estimate: the libraries, the data, and the largest of the stages.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.build.inputs import BuildRequest, Inputs
from edgepack.build.recipe import PASSES, Recipe, general_schedule, make_augmentation, make_schedule
from edgepack.build.training_data import TrainingData, layers_followed
from edgepack.compress.augmentation import augmented_lengths
from edgepack.compress.candidates import read_words
from edgepack.compress.examples import BATCH_TOKENS as EXAMPLE_TOKENS
from edgepack.compress.splicing import single_texts
from edgepack.errors import DiskFull, InputError
from edgepack.parameters import format_size
from edgepack.plan.candidate import Candidate
from edgepack.plan.speed import teacher_weights
from edgepack.student.config import StudentConfig
from edgepack.teacher import Teacher
from edgepack.train import Schedule
from edgepack.train.state_budget import (
    HEADER_BYTES,
    TRAINING,
    Costs,
    OutputsPlan,
    choose_kept,
    count_views,
    find_needs,
)
from edgepack.train.teacher_outputs import TOKENS_PER_BATCH
from edgepack.workspace import HIDDEN_FOLDER


@dataclass(frozen=True, eq=False)
class DataPlan:
    """What training sees, and what that takes."""

    own: int
    task: OutputsPlan
    text: OutputsPlan | None
    disk_budget: int
    memory_bytes: int
    timing_bytes: int = 0  # of memory, while the teacher is made into an int8 file to be timed; 0: it is not
    teacher: str = ""  # where its weights are while it runs; it depends on the memory that is free, no result does

    @property
    def bytes(self) -> int:
        """Of the teacher's outputs, on disk while a student is trained."""
        return sum(outputs.bytes for outputs in self.all)

    @property
    def all(self) -> list[OutputsPlan]:
        """Of the task's data and, where there is such a stage, of raw text."""
        return [self.task, *([self.text] if self.text is not None else [])]

    def to_record(self) -> dict[str, Any]:
        """As JSON."""
        views = self.task.views
        return {
            "examples": self.own,
            "synthetic": len(views.lengths) - self.own,
            "passes": round(views.passes, 2),
            "disk_bytes": self.bytes,
            "disk_budget": self.disk_budget,
            "memory_bytes": self.memory_bytes,
            "timing_bytes": self.timing_bytes,
            "states": self.task.choice.record(),
            "text": None if self.text is None else {"sequences": len(self.text.views.lengths), **_text(self.text)},
        }

    def lines(self) -> list[str]:
        """For people: what is seen, what is kept and why, what it takes."""
        views, own = self.task.views, self.own
        made = len(views.lengths) - own
        examples = f"{own:,} examples{f' and {made:,} synthetic ones' if made else ''}"
        often = f"; more than {PASSES:g}, as the recipe adds no others" if views.passes > PASSES + 0.5 else ""
        lines = [f"training data: {examples}, each seen {views.passes:.1f} times{often}"]
        lines.append(
            f"teacher outputs: {self.task.choice.describe(self.disk_budget)}; {format_size(self.bytes)} of disk, about "
            f"{format_size(self.memory_bytes)} of memory"
        )
        if self.teacher:
            lines.append(f"teacher: {self.teacher}")
        if self.timing_bytes > max(self.memory_bytes, 2 * LIBRARY_BYTES):  # else no machine that builds is too small
            lines.append(
                f"timing: to make the teacher's int8 file takes about {format_size(self.timing_bytes)} of memory; "
                "where less is free, the teacher is not timed"
            )
        if self.text is not None:
            seen, left = self.text.views, self.disk_budget - self.task.bytes
            lines.append(
                f"raw text: {len(seen.lengths):,} sequences, each seen {seen.passes:.1f} times; "
                f"{self.text.choice.describe(max(0, left))}"
            )
        return lines


def _text(outputs: OutputsPlan) -> dict[str, Any]:
    return {"passes": round(outputs.views.passes, 2), "states": outputs.choice.record()}


def plan_data(inputs: Inputs, candidate: Candidate, full: StudentConfig, text: TrainingData | None = None) -> DataPlan:
    """What a build of this candidate trains on. `full`: the teacher as a student; `text`: raw text, as sequences."""
    request, recipe = inputs.request, inputs.recipe
    costs = Costs(float(sum(teacher_weights(full))), TRAINING * float(sum(teacher_weights(candidate.config))))
    schedule = make_schedule(recipe, candidate.estimated_speed)
    lengths = task_lengths(inputs, recipe, candidate, full)
    sequences = None if text is None else text.student_ids.lengths
    set_aside = fixed_bytes(inputs, sequences) if sequences is not None else 0
    task = plan_outputs(inputs, candidate, schedule, lengths, costs, request.disk_budget - set_aside)
    general = None
    if sequences is not None and recipe.general is not None:
        schedule = general_schedule(recipe, recipe.general, len(sequences))
        left = request.disk_budget - task.bytes
        general = plan_outputs(inputs, candidate, schedule, sequences, costs, left)
    both = [task, *([general] if general is not None else [])]
    memory = estimate_memory(inputs, candidate, full, both)
    timing = LIBRARY_BYTES + int8_bytes(inputs.teacher) if request.timed else 0
    where = inputs.teacher.tensors.describe()
    return DataPlan(len(inputs.train), task, general, request.disk_budget, memory, timing, where)


def task_lengths(inputs: Inputs, recipe: Recipe, candidate: Candidate, full: StudentConfig) -> np.ndarray:
    """Tokens of each training example and each synthetic one behind them."""
    own = inputs.train
    spliceable = bool(single_texts(own).any())
    augmentation = make_augmentation(recipe, candidate.estimated_speed, len(own), spliceable)
    if augmentation is None:
        return own.lengths
    words = read_words(inputs.tokenizer, full.vocab_size)
    return augmented_lengths(own, words, augmentation, inputs.request.seed, inputs.max_length)


def plan_outputs(
    inputs: Inputs, candidate: Candidate, schedule: Schedule, lengths: np.ndarray, costs: Costs, disk_bytes: int
) -> OutputsPlan:
    """What is kept of the teacher on examples of these lengths, of which `schedule` sees some; in `disk_bytes`."""
    seed, sizes, fixed = inputs.request.seed, inputs.teacher.sizes, fixed_bytes(inputs, lengths)
    needs = find_needs(schedule, layers_followed(inputs, candidate), sizes.layers, sizes.hidden_size)
    views = count_views(lengths, schedule, seed)
    if fixed > disk_bytes:
        budget = inputs.request.disk_budget
        raise InputError(
            f"disk budget is {format_size(budget)}; with the teacher's logits of {len(lengths):,} examples at least "
            f"{format_size(budget - disk_bytes + fixed)} are needed; give a larger --disk-budget"
        )
    choice = choose_kept(needs, views, costs, disk_bytes - fixed, seed)
    return OutputsPlan(views, choice, fixed)


def fixed_bytes(inputs: Inputs, lengths: np.ndarray) -> int:
    """On disk whatever is kept of the states: logits, and each example's place."""
    task = inputs.teacher.task
    rows = int(lengths.sum()) if task.is_tagging else len(lengths)
    return 2 * HEADER_BYTES + 4 * task.outputs * rows + 8 * len(lengths)


LIBRARY_BYTES = 1_000_000_000  # torch and its kernels, transformers, ONNX, tokenizers, and what reading data leaves
STUDENT_COPIES = 6.0  # weights, gradients, two moments, the stage before, a checkpoint
INT8_COPIES = 7  # of a teacher in fp32 while it becomes an int8 ONNX file; 5 where its word table is small
TOKEN_BYTES = 26  # of ids, types and labels, in the teacher's numbers and in the student's
FP32_BYTES = 4
AHEAD = 2  # batches in memory: the one that is computed, the one that is read


def estimate_memory(inputs: Inputs, candidate: Candidate, full: StudentConfig, outputs: list[OutputsPlan]) -> int:
    """The largest resident memory of a build on a CPU, in bytes: of the teacher's run, of carving, or of training.

    Not of the teacher's int8 file, without which a build goes on where memory is short (`int8_bytes`). The teacher's
    weights count whole, also where they are pages of a file that the system can take back.
    """
    batch_size, vectors = inputs.recipe.batch_size, inputs.recipe.needs_vectors
    longest_text = max(int(each.views.lengths.max(initial=1)) for each in outputs)
    teacher, student = (4 * parameter_count(config) for config in (full, candidate.config))
    data = sum(TOKEN_BYTES * int(each.views.lengths.sum()) + each.fixed_bytes for each in outputs)
    training = 0.0
    for each in outputs:
        kept, lengths = each.choice.kept, each.views.lengths
        longest = 1 if kept.first_token else float(np.sort(lengths)[-batch_size:].mean())
        stored = each.choice.stored / max(1, each.choice.examples)
        states = AHEAD * batch_size * longest * stored * 2 * len(kept.states) * full.hidden_size
        training = max(training, states + (teacher * 1.5 if kept.loop_share or vectors else 0.0))
    stored = inputs.teacher.tensors.converted / 2  # pages of 16-bit weights, next to the fp32 ones made of them
    running = teacher + stored + max(teacher / 2, stored) + run_bytes(full, TOKENS_PER_BATCH)  # with matrices in bf16
    carving = teacher * len(candidate.layers) / full.num_hidden_layers + stored
    carving += full.num_hidden_layers * layer_bytes(full, EXAMPLE_TOKENS, longest_text)
    return round(LIBRARY_BYTES + data + max(running, carving, training + STUDENT_COPIES * student))


def int8_bytes(teacher: Teacher) -> int:
    """What the teacher's int8 ONNX file takes while it is made, in bytes of memory."""
    return INT8_COPIES * teacher.tensors.bytes


def run_bytes(config: StudentConfig, tokens: int) -> int:
    """What a forward pass holds: one layer's work, and the states of all layers."""
    states = (config.num_hidden_layers + 1) * tokens * config.hidden_size * FP32_BYTES
    return layer_bytes(config, tokens, 0) + states


def layer_bytes(config: StudentConfig, tokens: int, longest: int) -> int:
    """What a layer keeps of a batch for gradients: ten vectors of the hidden size, three of units, two of scores."""
    units, heads = max(config.intermediate_sizes or [0]), max(config.num_heads or [0])
    return tokens * FP32_BYTES * (10 * config.hidden_size + 3 * units + 2 * heads * min(longest, tokens))


def parameter_count(config: StudentConfig) -> int:
    """Of a student of this shape, without its head."""
    total = sum(teacher_weights(config)) + config.vocab_size * config.embedding_size
    return total + config.max_position_embeddings * config.sum_size


def free_space_problem(request: BuildRequest, plan: DataPlan) -> str | None:
    """What to say where the output's disk has no room for the teacher's outputs; what lies there of them counts."""
    place = request.output.absolute()
    there = sum(path.stat().st_blocks * 512 for path in (place / HIDDEN_FOLDER).glob("*/teacher*/*") if path.is_file())
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free + there
    if plan.bytes <= free:
        return None
    return (
        f"the teacher's outputs take {format_size(plan.bytes)} while a student is trained; the disk of {place} has "
        f"{format_size(free)} free; make room, give -o on another disk, or --disk-budget {free * 9 // 10 // 1000}kB"
    )


def check_free_space(request: BuildRequest, plan: DataPlan) -> None:
    """`DiskFull` where the output's disk has no room, before the teacher runs."""
    problem = free_space_problem(request, plan)
    if problem is not None:
        raise DiskFull(problem)


def output_files(folder: Path) -> int:
    """Bytes of a finished stage of the teacher's outputs, its records left out."""
    return sum(path.stat().st_size for path in folder.glob("*.npy"))
