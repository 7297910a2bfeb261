"""Training and evaluation data as tokens, and what is to be said of them: the teacher's, or two tokenizers'."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from edgepack.build.before_training import app_warnings
from edgepack.build.pairing import Pairing
from edgepack.errors import InputError
from edgepack.evidence.calibration import LEAST_EXAMPLES
from edgepack.task.alignment import seen_by_student
from edgepack.task.dataset import Dataset
from edgepack.task.encoded import Encoded
from edgepack.task.long_texts import split
from edgepack.task.read_long import LongRead, LongTexts, read_long
from edgepack.task.task import Task
from edgepack.task.tokenize import encode, encode_spans, lengthen, shorten, suggest_max_length
from edgepack.task.windows import Windows
from edgepack.task.word_windows import in_word_windows
from edgepack.teacher import (
    StudentTokenizer,
    Teacher,
    check_sides,
    check_tokenizer,
    check_unknown,
    check_words,
    unknown_share,
)

GOLDEN_TEXTS = 64  # of the task's own sentences
SHARE = 0.1  # of the training examples, held out for thresholds, or for the temperature and the least confidence
MOST_FOR_SETS, MOST = 4_000, 1_000  # more would hardly move a label's threshold, or one number for all
FEWEST_OUTSIDE = 100  # texts that belong to no label: half of them decide, half are measured
FEWEST_FOR_SETS = 100  # training examples: of fewer none is held out, and each threshold is 0.5
SEED = 0  # the same examples for every build of the data
MOST_UNKNOWN, MANY_UNKNOWN = 0.5, 0.1  # shares of the data's tokens


@dataclass(frozen=True, eq=False)
class Tokens:
    """Both data sets as tokens: `train` in the student's, `evaluation` in those that the teacher answers on.

    `windows`: how both read what is longer than `max_length`; None: it is cut there. `longer`: such evaluation texts.
    """

    train: Encoded
    evaluation: Encoded
    max_length: int
    pairing: Pairing | None = None
    windows: Windows | None = None
    longer: int = 0

    @property
    def teacher_train(self) -> Encoded:
        """The training data in the teacher's tokens."""
        return self.train if self.pairing is None else self.pairing.teacher[0]

    def select(self, chosen: np.ndarray) -> Tokens:
        """With these training examples alone."""
        pairing = None if self.pairing is None else self.pairing.select(chosen)
        return replace(self, train=self.train.select(chosen), pairing=pairing)

    def for_training(self) -> Tokens:
        """With the training data as single inputs: of long texts the windows (words) or the first one (texts)."""
        return replace(self, train=split(self.train).training())

    def counts(self, teacher: Teacher) -> np.ndarray:
        """How often the training data uses each of the student's tokens."""
        rows = teacher.sizes.vocabulary if self.pairing is None else len(self.pairing.rows)
        return np.bincount(self.train.input_ids, minlength=rows)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Training examples that the student does not learn from; `unseen`: the teacher did not learn from them either."""

    tokens: Tokens
    unseen: bool


def hold_out(tokens: Tokens, task: Task, unseen: np.ndarray | None) -> tuple[Tokens, HeldOut | None]:
    """The examples to train on, and those that decide what training cannot; None of few.

    `unseen`: positions of what the teacher was not trained on, None where that is not known. It is these that are held
    out where they are at least a quarter of what is wanted; else any.

    What is held out stands nowhere else: an example whose tokens another one has is trained on. Windows of tagged words
    overlap, so of these none is held out.
    """
    if not (task.is_multi_label or task.has_temperature) or (task.is_tagging and tokens.windows is not None):
        return tokens, None
    fewest = FEWEST_FOR_SETS if task.is_multi_label else round(LEAST_EXAMPLES / SHARE)
    most = MOST_FOR_SETS if task.is_multi_label else MOST
    if len(tokens.train) < fewest:
        return tokens, None
    count = min(most, round(SHARE * len(tokens.train)))
    order = unrepeated(tokens.train, np.random.default_rng(SEED).permutation(len(tokens.train)))
    new = order[np.isin(order, [] if unseen is None else unseen)]
    is_new = len(new) >= max(count / 4, 1 if task.is_multi_label else LEAST_EXAMPLES)
    kept = (new if is_new else order)[:count]
    if len(kept) < (1 if task.is_multi_label else LEAST_EXAMPLES):
        return tokens, None
    mask = np.zeros(len(tokens.train), bool)
    mask[kept] = True
    return tokens.select(np.flatnonzero(~mask)), HeldOut(tokens.select(np.flatnonzero(mask)), is_new)


def unrepeated(encoded: Encoded, order: np.ndarray) -> np.ndarray:
    """Those positions of `order` whose tokens no other example has."""
    ends = zip(encoded.offsets[:-1], encoded.offsets[1:], strict=True)
    contents = [hash(encoded.input_ids[start:end].tobytes()) for start, end in ends]
    counts = Counter(contents)
    return np.array([i for i in order if counts[contents[i]] == 1], np.int64)


def outside_texts(train: Dataset, held_out: bool) -> Dataset | None:
    """The training texts that belong to no label; `InputError` where they are too few, or no others are held out."""
    count = len(train.outside)
    if count and (not held_out or count < FEWEST_OUTSIDE):
        raise InputError(
            f"{train.source}: {count} rows are out of scope, {len(train):,} others are not; at least {FEWEST_OUTSIDE} "
            f"and {round(LEAST_EXAMPLES / SHARE)} are needed to tell them apart; leave these rows and the option out"
        )
    return train.out_of_scope() if count else None


def halves(data: Dataset) -> tuple[Dataset, Dataset]:
    """Two data sets of half the examples each, drawn alike for the same number."""
    order = np.random.default_rng(SEED).permutation(len(data))
    middle = len(order) // 2
    parts = (tuple(data.examples[i] for i in np.sort(part)) for part in (order[:middle], order[middle:]))
    first, second = (replace(data, examples=part) for part in parts)
    return first, second


def tokens_of(
    data: tuple[Dataset, Dataset],
    teacher: Teacher,
    other: StudentTokenizer | None,
    asked: int | None,
    long_texts: LongTexts | None = None,
) -> Tokens:
    """Training and evaluation data as tokens, and the longest input: the asked one, else what the data needs."""
    if other is not None:
        return pair_tokens(data, teacher, other, asked, long_texts)
    limit, task, tokenizer = teacher.max_length, teacher.task, teacher.tokenizer
    if asked is not None and asked > limit:
        raise InputError(f"max length {asked}; the teacher's positions allow 8 to {limit}")
    train, evaluation = (encode(each, task, tokenizer, asked or limit) for each in data)
    found = asked or suggest_max_length(train, evaluation, limit)
    train = shorten(train, data[0], task, tokenizer, found)
    read = read_long(evaluation, data[1], task, tokenizer, found, long_texts)
    if read.windows is not None:
        train = lengthen(train, data[0], task, tokenizer, read.windows)
    return Tokens(train, read.encoded, found, windows=read.windows, longer=read.longer)


def pair_tokens(
    data: tuple[Dataset, Dataset],
    teacher: Teacher,
    other: StudentTokenizer,
    asked: int | None,
    long_texts: LongTexts | None = None,
) -> Tokens:
    """Training and evaluation data in both tokenizers' tokens; windows of training data are cut between words."""
    task, tokenizer = teacher.task, other.tokenizer
    limit = min(teacher.max_length, tokenizer.model_max_length)
    if asked is not None and asked > limit:
        raise InputError(f"max length {asked}; the teacher's positions and the student's tokenizer allow 8 to {limit}")
    student = [encode_spans(each, task, tokenizer, asked or limit) for each in data]
    found = asked or suggest_max_length(student[0][0], student[1][0], limit)
    if int(student[0][0].lengths.max()) > found:
        student[0] = encode_spans(data[0], task, tokenizer, found)
    read = read_long(student[1][0], data[1], task, tokenizer, found, long_texts)
    if read.windows is not None and task.is_tagging:
        data = in_word_windows(data[0], task, tokenizer, read.windows), data[1]
        student[0] = encode_spans(data[0], task, tokenizer, found)
    both = [
        seen_by_student(*encode_spans(each, task, teacher.tokenizer, teacher.max_length), *mine)
        for each, mine in zip(data, student, strict=True)
    ]
    evaluation = both[1][0]
    if read.windows is not None:
        evaluation = encode(data[1], task, teacher.tokenizer, task.windows(teacher.max_length))
    texts = tuple((" ".join(e.words) if e.words is not None else e.text, e.pair or "") for e in data[0].examples)
    pairing = Pairing(other, task, teacher, texts, student[0], both[0])
    return Tokens(student[0][0], evaluation, found, pairing, read.windows, read.longer)


def said_of_long(tokens: Tokens, task: Task) -> str | None:
    """What is done with long texts, where there are some, or windows were asked for."""
    found = LongRead(tokens.evaluation, tokens.windows, tokens.longer)
    return found.describe("evaluation", tokens.max_length, windows_help=not task.embeds)


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
        *check_words(data[1], tokens.evaluation, length),
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
