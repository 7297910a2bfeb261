"""What a student is trained on: the task's examples, synthetic ones derived from them, and raw text.

All of it is in the teacher's token ids, which the teacher is run on, and in the student's, which are other numbers for
the same tokens: a student's vocabulary is a part of the teacher's, and holds every token of the training data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from edgepack.build.inputs import Inputs
from edgepack.build.masked_words import MaskedModel, load_masked_words
from edgepack.build.search_space import read_text_lines
from edgepack.compress.augmentation import Augmentation, add_augmented, augmented_places
from edgepack.compress.candidates import find_neighbours, read_words
from edgepack.compress.distil.layer_maps import followed_layers
from edgepack.compress.general import encode_text, order_pairs
from edgepack.compress.module_replacing import successor_groups
from edgepack.compress.vocabulary import trim_tokenizer
from edgepack.plan.candidate import Candidate
from edgepack.student.config import StudentConfig
from edgepack.task.alignment import Alignment
from edgepack.task.encoded import IGNORED, Encoded
from edgepack.train import Schedule, StageSettings
from edgepack.train.processes import UNLABELLED
from edgepack.train.raw_text import RawText, make_raw_text
from edgepack.train.replacing import Replacing
from edgepack.train.state_budget import KeptStates, OutputsPlan
from edgepack.train.teacher_outputs import TeacherOutputs, load_teacher_outputs
from edgepack.workspace import Stage

Augment = Callable[[Augmentation], Encoded]  # the training data with synthetic examples behind it


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Examples in the teacher's ids and in the student's; the first `originals` are the task's, the rest synthetic."""

    teacher_ids: Encoded
    student_ids: Encoded
    originals: int
    note: str
    raw_text: RawText | None = None  # objectives of raw text, where the data is that
    alignment: Alignment | None = None  # of the two, where the student has a tokenizer of its own

    @property
    def own_examples(self) -> Encoded:
        """The task's own examples in the student's ids."""
        return self.student_ids.select(np.arange(self.originals))

    def sha256(self) -> str:
        """Of what the teacher's outputs follow from."""
        return self.teacher_ids.sha256() if self.alignment is None else self.alignment.sha256()


@dataclass(frozen=True, eq=False)
class Training:
    """What a training stage trains on, and how."""

    data: TrainingData
    outputs: Stage
    planned: OutputsPlan
    schedule: Schedule
    settings: StageSettings
    replacing: Replacing | None = None


def layers_followed(inputs: Inputs, candidate: Candidate) -> list[int]:
    """The teacher's layer that each of the student's learns from, by the recipe's map."""
    layers = inputs.teacher.sizes.layers
    return followed_layers(inputs.request.chosen_recipe.layer_map, candidate.layers, layers)


def open_outputs(
    inputs: Inputs,
    candidate: Candidate,
    folder: Path,
    kept: KeptStates,
    bf16: bool,
    alignment: Alignment | None = None,
) -> TeacherOutputs:
    """The teacher's outputs in `folder` for a candidate, with the teacher itself where training has it run."""
    vectors = inputs.recipe.needs_vectors
    teacher = inputs.load_runner(bf16 and not vectors) if vectors or kept.loop_share else None
    layers = layers_followed(inputs, candidate)
    return load_teacher_outputs(folder, layers, teacher, candidate.config.vocab_map, bf16, alignment)


def make_replacing(inputs: Inputs, candidate: Candidate) -> Replacing | None:
    """The teacher's layers instead of some of the student's, where the recipe trains so."""
    settings = inputs.request.chosen_recipe.module_replacing
    if settings is None:
        return None
    teacher = inputs.load_full_student()
    groups = successor_groups(layers_followed(inputs, candidate), teacher.config.num_hidden_layers)
    return Replacing(settings, teacher, groups)


def task_data(
    inputs: Inputs, shape: StudentConfig, augmentation: Augmentation | None, augment: Augment | None = None
) -> TrainingData:
    """The task's training examples, and as many synthetic ones as the recipe asks for.

    `augment` adds the synthetic examples; None: words replaced by neighbours in the teacher's embedding table.
    """
    data, own = inputs.train, len(inputs.train)
    places = np.zeros(0, np.int64)
    note = f"{own} training examples"
    if augmentation is not None and augmentation.share:
        data = augment(augmentation) if augment is not None else augment_by_neighbours(inputs, shape, augmentation)
        note += f", {len(data) - own} synthetic ones ({1 - own / len(data):.0%} of all)"
        if inputs.pairing is not None:
            words = read_words(inputs.tokenizer, len(inputs.token_counts))
            places = augmented_places(inputs.train, words, augmentation, inputs.request.seed, inputs.max_length)
    student_ids = without_labels(in_student_ids(data, shape, inputs), own)
    if inputs.pairing is None:
        return TrainingData(data, student_ids, own, note)
    alignment = inputs.pairing.align(replace(data, labels=student_ids.labels), places)
    return TrainingData(alignment.teacher, student_ids, own, note, alignment=alignment)


def without_labels(data: Encoded, originals: int) -> Encoded:
    """The labels of examples from number `originals` on are unknown: only the teacher knows what these mean."""
    labels = data.labels.copy()
    made = labels[data.offsets[originals] if data.per_token else originals :]
    made[made != IGNORED] = UNLABELLED if labels.dtype.kind != "f" else np.nan
    return replace(data, labels=labels)


def student_tokenizer(inputs: Inputs, shape: StudentConfig) -> PreTrainedTokenizerFast:
    """The inputs' tokenizer with the student's vocabulary."""
    tokenizer = inputs.tokenizer
    return tokenizer if shape.vocab_map is None else trim_tokenizer(tokenizer, shape.vocab_map)


def text_data(inputs: Inputs, shape: StudentConfig) -> TrainingData | None:
    """Raw text in sequences of the task's length, cut by the student's own tokenizer; None without a stage on it.

    With the sentence-order objective the sequences are pairs of segments, in order or swapped.
    """
    path, general = inputs.request.raw_text, inputs.request.chosen_recipe.general
    if path is None or general is None or not (general.share or general.examples):
        return None
    lines, tokenizer = read_text_lines(path), student_tokenizer(inputs, shape)
    per_token, seed = inputs.teacher.task.is_tagging, inputs.request.seed
    if general.sentence_order:
        student_ids = order_pairs(lines, tokenizer, inputs.max_length, seed)
        student_ids = as_task_labels(student_ids, per_token)
        if not shape.type_vocab_size:  # a student of single texts knows no second segment
            student_ids = replace(student_ids, token_type_ids=np.zeros_like(student_ids.token_type_ids))
    else:
        student_ids = encode_text(lines, tokenizer, inputs.max_length, per_token)
    teacher_ids = student_ids
    if shape.vocab_map is not None:
        numbers = np.asarray(shape.vocab_map, np.int32)
        teacher_ids = replace(student_ids, input_ids=numbers[student_ids.input_ids])
    raw_text = make_raw_text(general, tokenizer, shape.vocab_size)
    return TrainingData(teacher_ids, student_ids, 0, f"{len(student_ids)} sequences of raw text", raw_text)


def as_task_labels(pairs: Encoded, per_token: bool) -> Encoded:
    """One label for each sequence, `(n,)`, in the task's layout: at its first token where labels are per token."""
    if not per_token:
        return pairs
    labels = np.full(len(pairs.input_ids), IGNORED, np.int64)
    labels[pairs.offsets[:-1]] = pairs.labels
    return replace(pairs, labels=labels)


def in_student_ids(data: Encoded, shape: StudentConfig, inputs: Inputs) -> Encoded:
    """The same tokens by the student's numbers."""
    if shape.vocab_map is None:
        return data
    student_id = np.full(len(inputs.token_counts), -1, np.int32)
    student_id[shape.vocab_map] = np.arange(len(shape.vocab_map))
    return replace(data, input_ids=student_id[data.input_ids])


def augment_by_neighbours(inputs: Inputs, shape: StudentConfig, settings: Augmentation) -> Encoded:
    """The training data and synthetic examples: words replaced by neighbours in the teacher's embedding table."""
    embedding = inputs.load_full_student(layers=()).embeddings.word.weight
    allowed, words = allowed_tokens(inputs, shape, len(embedding)), read_words(inputs.tokenizer, len(embedding))
    neighbours = find_neighbours(embedding, words, allowed, inputs.token_counts, settings.candidates)
    return add_augmented(inputs.train, neighbours, settings, inputs.request.seed, inputs.max_length)


def augment_by_masked_words(
    inputs: Inputs, shape: StudentConfig, settings: Augmentation, model: MaskedModel, device: torch.device
) -> Encoded:
    """The training data and synthetic examples: words replaced by what a masked-word head predicts in their place."""
    rows = int(model.checkpoint.config.vocab_size)
    words = read_words(inputs.tokenizer, rows)
    candidates = load_masked_words(model, words, allowed_tokens(inputs, shape, rows), device)
    return add_augmented(inputs.train, candidates, settings, inputs.request.seed, inputs.max_length)


def allowed_tokens(inputs: Inputs, shape: StudentConfig, rows: int) -> np.ndarray:
    """Which tokens of the inputs' tokenizer may be put into a text, bool `(rows,)`: those that the student has.

    Where the teacher has another tokenizer, without parts of characters, which cannot be spelled for it.
    """
    allowed = np.ones(rows, bool)
    if shape.vocab_map is not None:
        allowed = np.zeros(rows, bool)
        allowed[shape.vocab_map] = True
    if inputs.pairing is not None:
        spelled = np.zeros(rows, bool)
        spelled[list(inputs.pairing.surfaces)] = True
        allowed &= spelled
    return allowed
