"""A student whose tokenizer is not the teacher's: both read the same texts, and tokens are aligned by characters.

Texts are tokenized twice. The longest input is counted in the student's tokens, since an app cuts there; the teacher
reads no more of a text than the student does, and no more than its positions allow. Synthetic examples are made of the
student's tokens, as for any student; the text that they spell is what the teacher reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np

from edgepack.compress.augmentation import concatenate
from edgepack.compress.other_vocabulary import Surface, read_surfaces, source_rows
from edgepack.task.alignment import Alignment, Spans, align
from edgepack.task.dataset import Dataset, Example
from edgepack.task.encoded import IGNORED, Encoded
from edgepack.task.task import Task
from edgepack.task.tokenize import encode_spans
from edgepack.teacher import StudentTokenizer, Teacher

Texts = tuple[str, str]


@dataclass(frozen=True, eq=False)
class Pairing:
    """Both tokenizers' views of the training data.

    `texts`: of each training example both texts, the second one empty without a pair. `student`, `teacher`: its tokens,
    and where they stand.
    """

    other: StudentTokenizer
    task: Task
    own: Teacher
    texts: tuple[Texts, ...]
    student: tuple[Encoded, Spans]
    teacher: tuple[Encoded, Spans]

    @cached_property
    def rows(self) -> list[Sequence[int]]:
        """For each of the student's ids the teacher's whose rows its own begins as."""
        return source_rows(self.own.tokenizer, self.other.tokenizer)

    @cached_property
    def surfaces(self) -> dict[int, Surface]:
        """What each of the student's tokens stands for."""
        return read_surfaces(self.other.tokenizer)

    def select(self, chosen: np.ndarray) -> Pairing:
        """Of these training examples."""
        both = (self.student, self.teacher)
        student, teacher = ((data.select(chosen), spans.of(data, chosen)) for data, spans in both)
        return replace(self, texts=tuple(self.texts[i] for i in chosen), student=student, teacher=teacher)

    def describe(self) -> str:
        """What the student's word table starts as."""
        kinds = [min(2, len(sources)) for sources in self.rows]
        whole, split, lacking = kinds.count(1), kinds.count(2), kinds.count(0)
        return (
            f"student tokenizer {self.other.name}: of {len(kinds):,} tokens {whole:,} start as one of the teacher's, "
            f"{split:,} as the mean of several{f', {lacking:,} as the mean of all' if lacking else ''}"
        )

    def align(self, data: Encoded, places: np.ndarray) -> Alignment:
        """Of the training data, with synthetic examples behind it made of its tokens at `places`."""
        teacher, spans = self.teacher
        own = self.student[1]
        if len(places):
            rest = data.select(np.arange(len(self.texts), len(data)))
            examples, made = spell(rest, places, self.student, self.texts, self.surfaces)
            found = encode_spans(examples, self.task, self.own.tokenizer, self.own.max_length)
            teacher, spans, own = concatenate(teacher, found[0]), spans.followed_by(found[1]), own.followed_by(made)
        return align(data, own, teacher, spans)


def spell(
    data: Encoded,
    places: np.ndarray,
    source: tuple[Encoded, Spans],
    texts: Sequence[Texts],
    surfaces: Mapping[int, Surface],
) -> tuple[Dataset, Spans]:
    """The texts that examples made of `source`'s tokens at `places` spell, and where the tokens stand in them.

    A token of another id than the one in its place is a word put there instead. Tokens that stood side by side keep
    what was between them; others are joined by a space.
    """
    origin, spans = source
    owner = origin.token_examples
    replaced = data.input_ids != origin.input_ids[places]
    starts, ends = np.zeros(len(places), np.int32), np.zeros(len(places), np.int32)
    examples = []
    for begin, end in pairwise(data.offsets):
        written, before, reach = ["", ""], -1, 0
        for token in range(begin, end):
            row = int(places[token])
            number = int(spans.texts[row])
            if number < 0:
                continue
            whole, start, stop = texts[owner[row]][number], int(spans.starts[row]), int(spans.ends[row])
            text = written[number]
            if row == before + 1 and owner[row] == owner[before] and spans.texts[before] == number:
                text += whole[reach:start]
            else:
                text, reach = f"{text} " if text else "", start
            again = max(0, min(reach, stop) - start)  # characters that the token before has too
            piece = whole[start + again : stop]
            if replaced[token]:
                blank = len(piece) - len(piece.lstrip())
                piece = piece[:blank] + surfaces[int(data.input_ids[token])].text
            starts[token] = max(0, len(text) - again)
            text += piece
            ends[token] = max(len(text), starts[token])
            written[number], before, reach = text, row, max(reach, stop)
        examples.append(_as_example(written, data.per_token, bool((spans.texts[places[begin:end]] == 1).any())))
    dataset = Dataset(tuple(examples), "synthetic examples", "")
    made = Spans(starts, ends, spans.texts[places], spans.words[places], np.zeros(len(data), bool))
    return dataset, _with_word_numbers(made, data, examples) if data.per_token else made


def _as_example(written: Sequence[str], per_token: bool, pair: bool) -> Example:
    """A text as the data has them; its label is nobody's."""
    if not per_token:
        return Example(written[0], written[1] if pair else None, None, 0)
    words = tuple(written[0].split(" "))
    return Example(written[0], None, words, (0,) * len(words))


def _with_word_numbers(spans: Spans, data: Encoded, examples: Sequence[Example]) -> Spans:
    """Words counted in the new texts, at tokens that carry a label."""
    words = np.full(len(spans.words), -1, np.int32)
    for (begin, end), example in zip(pairwise(data.offsets), examples, strict=True):
        for token in range(begin, end):
            if data.labels[token] != IGNORED:
                text, start = example.text, int(spans.starts[token])
                start += len(text[start:]) - len(text[start:].lstrip())
                words[token] = text.count(" ", 0, start)
    return replace(spans, words=words)
