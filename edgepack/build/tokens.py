"""Training and evaluation data as tokens, and what is to be said of them: the teacher's, or two tokenizers'."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edgepack.build.before_training import app_warnings
from edgepack.build.pairing import Pairing
from edgepack.errors import InputError
from edgepack.task.alignment import seen_by_student
from edgepack.task.dataset import Dataset
from edgepack.task.encoded import Encoded
from edgepack.task.task import Task
from edgepack.task.tokenize import encode, encode_spans, shorten, suggest_max_length
from edgepack.teacher import (
    StudentTokenizer,
    Teacher,
    check_sides,
    check_tokenizer,
    check_unknown,
    unknown_share,
)

GOLDEN_TEXTS = 64  # of the task's own sentences
SHARE, MOST = 0.1, 4_000  # of the training examples, held out for thresholds; more would hardly move one
FEWEST = 100  # training examples: of fewer none is held out, and each threshold is 0.5
SEED = 0  # the same examples for every build of the data
MOST_UNKNOWN, MANY_UNKNOWN = 0.5, 0.1  # shares of the data's tokens


@dataclass(frozen=True, eq=False)
class Tokens:
    """Both data sets as tokens: `train` in the student's, `evaluation` in those that the teacher answers on."""

    train: Encoded
    evaluation: Encoded
    max_length: int
    pairing: Pairing | None = None

    @property
    def teacher_train(self) -> Encoded:
        """The training data in the teacher's tokens."""
        return self.train if self.pairing is None else self.pairing.teacher[0]

    def select(self, chosen: np.ndarray) -> Tokens:
        """With these training examples alone."""
        pairing = None if self.pairing is None else self.pairing.select(chosen)
        return replace(self, train=self.train.select(chosen), pairing=pairing)

    def counts(self, teacher: Teacher) -> np.ndarray:
        """How often the training data uses each of the student's tokens."""
        rows = teacher.sizes.vocabulary if self.pairing is None else len(self.pairing.rows)
        return np.bincount(self.train.input_ids, minlength=rows)


def hold_out(tokens: Tokens, task: Task) -> tuple[Tokens, Tokens | None]:
    """The examples to train on, and those for thresholds of label sets; None for a task without these, and of few."""
    if not task.is_multi_label or len(tokens.train) < FEWEST:
        return tokens, None
    order = np.random.default_rng(SEED).permutation(len(tokens.train))
    count = min(MOST, round(SHARE * len(order)))
    return tokens.select(np.sort(order[count:])), tokens.select(np.sort(order[:count]))


def tokens_of(
    data: tuple[Dataset, Dataset], teacher: Teacher, other: StudentTokenizer | None, asked: int | None
) -> Tokens:
    """Training and evaluation data as tokens, and the longest input: the asked one, else what the data needs."""
    if other is not None:
        return pair_tokens(data, teacher, other, asked)
    limit, task, tokenizer = teacher.max_length, teacher.task, teacher.tokenizer
    if asked is not None and asked > limit:
        raise InputError(f"max length {asked}; the teacher's positions allow 8 to {limit}")
    train, evaluation = (encode(each, task, tokenizer, asked or limit) for each in data)
    if asked is not None:
        return Tokens(train, evaluation, asked)
    found = suggest_max_length(train, evaluation, limit)
    return Tokens(shorten(train, data[0], task, tokenizer, found), evaluation, found)


def pair_tokens(data: tuple[Dataset, Dataset], teacher: Teacher, other: StudentTokenizer, asked: int | None) -> Tokens:
    """Training and evaluation data in both tokenizers' tokens."""
    task, tokenizer = teacher.task, other.tokenizer
    limit = min(teacher.max_length, tokenizer.model_max_length)
    if asked is not None and asked > limit:
        raise InputError(f"max length {asked}; the teacher's positions and the student's tokenizer allow 8 to {limit}")
    student = [encode_spans(each, task, tokenizer, asked or limit) for each in data]
    found = asked or suggest_max_length(student[0][0], student[1][0], limit)
    if int(student[0][0].lengths.max()) > found:
        student[0] = encode_spans(data[0], task, tokenizer, found)
    both = [
        seen_by_student(*encode_spans(each, task, teacher.tokenizer, teacher.max_length), *mine)
        for each, mine in zip(data, student, strict=True)
    ]
    texts = tuple((" ".join(e.words) if e.words is not None else e.text, e.pair or "") for e in data[0].examples)
    pairing = Pairing(other, task, teacher, texts, student[0], both[0])
    return Tokens(student[0][0], both[1][0], found, pairing)


def input_warnings(teacher: Teacher, data: tuple[Dataset, Dataset], tokens: Tokens) -> list[str]:
    """What a user should know of the teacher, of both tokenizers and of the training and evaluation data."""
    pairing = tokens.pairing
    length, tokenizer = tokens.max_length, teacher.tokenizer
    if pairing is not None:
        length, tokenizer = teacher.max_length, pairing.other.tokenizer
    return [
        *teacher.notes,
        *check_tokenizer(teacher, data),
        *check_sides(teacher, data, length),
        *check_unknown(teacher, (tokens.teacher_train, tokens.evaluation)),
        *(pairing_warnings(pairing) if pairing is not None else []),
        *app_warnings(tokenizer, first_texts(data[1]), tokens.max_length),
    ]


def pairing_warnings(pairing: Pairing) -> list[str]:
    """What a user should know of the student's tokenizer; `InputError` where it lacks most of the data's words."""
    share, name = unknown_share(pairing.other.tokenizer, [pairing.student[0]]), pairing.other.name
    if share > MOST_UNKNOWN:
        raise InputError(
            f"student tokenizer {name}: {share:.0%} of the data's tokens are unknown to it; give one of the data's "
            "language"
        )
    many = [f"student tokenizer {name}: {share:.0%} of the data's tokens are unknown to it"]
    return [*pairing.other.notes, *(many if share > MANY_UNKNOWN else [])]


def first_texts(data: Dataset) -> list[tuple[str, str | None]]:
    """The first sentences of a data set."""
    chosen = data.examples[:GOLDEN_TEXTS]
    return [(" ".join(e.words) if e.words is not None else e.text, e.pair) for e in chosen]
