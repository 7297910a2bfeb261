"""What a student is trained on: the task's examples, new ones made out of them, and raw text.

All of it is in the teacher's token ids, which the teacher is run on, and in the student's, which are other numbers for
the same tokens: a student's vocabulary is a part of the teacher's, and holds every token of the training data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerFast

from edgepack.compress.augmentation import Augmentation, add_augmented, find_neighbours, read_words
from edgepack.compress.general import encode_text
from edgepack.encoding import Encoded
from edgepack.errors import InputError
from edgepack.inputs import Inputs
from edgepack.student.config import StudentConfig
from edgepack.teacher_outputs import DISK_BYTES, choose_examples


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Examples in the teacher's ids and in the student's; the first `originals` are the task's own, the rest made."""

    teacher_ids: Encoded
    student_ids: Encoded
    originals: int
    note: str

    @property
    def made(self) -> int:
        """How many examples were made out of others."""
        return len(self.teacher_ids) - self.originals


def task_data(inputs: Inputs, shape: StudentConfig, augmentation: Augmentation | None) -> TrainingData:
    """The task's training examples, and as many made out of them as the recipe asks for and the disk holds."""
    seed, width = inputs.request.seed, shape.hidden_size
    chosen = choose_examples(inputs.train.lengths, width, seed)
    data, note = inputs.train, f"{len(chosen)} training examples"
    if len(chosen) < len(data):
        data = data.select(chosen)
        note += f" of {len(inputs.train)}: the teacher's states of more would take over {DISK_BYTES / 1e9:g} GB of disk"
    elif augmentation is not None and augmentation.share:
        data = _with_augmented(inputs, shape, augmentation)
        note += f", {len(data) - len(chosen)} made out of them ({1 - len(chosen) / len(data):.0%} of all)"
    return TrainingData(data, in_student_ids(data, shape, inputs), len(chosen), note)


def text_data(inputs: Inputs, shape: StudentConfig, tokenizer: PreTrainedTokenizerFast, path: Path) -> TrainingData:
    """Raw text in sequences of the task's length, cut by the student's own tokenizer."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise InputError(f"{path}: {e}; --text takes a file of UTF-8 sentences, one on a line") from e
    per_token = inputs.teacher.task.name == "token-classification"
    student_ids = encode_text(lines, tokenizer, inputs.max_length, per_token)
    kept = choose_examples(student_ids.lengths, shape.hidden_size, inputs.request.seed)
    student_ids = student_ids.select(kept)
    teacher_ids = student_ids
    if shape.vocab_map is not None:
        numbers = np.asarray(shape.vocab_map, np.int32)
        teacher_ids = replace(student_ids, input_ids=numbers[student_ids.input_ids])
    return TrainingData(teacher_ids, student_ids, 0, f"{len(student_ids)} sequences of raw text")


def in_student_ids(data: Encoded, shape: StudentConfig, inputs: Inputs) -> Encoded:
    """The same tokens by the student's numbers."""
    if shape.vocab_map is None:
        return data
    student_id = np.full(len(inputs.token_counts), -1, np.int32)
    student_id[shape.vocab_map] = np.arange(len(shape.vocab_map))
    return replace(data, input_ids=student_id[data.input_ids])


def _with_augmented(inputs: Inputs, shape: StudentConfig, settings: Augmentation) -> Encoded:
    """The training data with new examples behind them, of words that the student knows; all, or as many as fit."""
    embedding = inputs.full_student.embeddings.word.weight
    allowed = np.ones(len(embedding), bool)
    if shape.vocab_map is not None:
        allowed = np.zeros(len(embedding), bool)
        allowed[shape.vocab_map] = True
    words = read_words(inputs.teacher.tokenizer, len(embedding))
    neighbours = find_neighbours(embedding, words, allowed, inputs.token_counts, settings.candidates)
    train, seed = inputs.train, inputs.request.seed
    data = add_augmented(train, neighbours, settings, seed, max_length=inputs.max_length).data
    states = shape.num_hidden_layers + 1
    fitting = np.searchsorted(np.cumsum(data.lengths), DISK_BYTES // (2 * shape.hidden_size * states), side="right")
    return data if fitting >= len(data) else data.select(np.arange(max(len(train), int(fitting))))
