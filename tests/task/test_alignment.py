"""Alignment of two tokenizers by characters: itself with itself, by hand, cut texts, pairs, words with tags."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordPiece
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from edgepack.bundle.goldens import HARD_TEXTS
from edgepack.task.alignment import Alignment, align, seen_by_student
from edgepack.task.dataset import Dataset, Example
from edgepack.task.encoded import IGNORED, Encoded
from edgepack.task.task import Task
from edgepack.task.tokenize import encode, encode_spans
from tests.teacher.tokenizers import TOKENIZERS

TASK = Task("text-classification", ("neg", "pos"))
TAGGING = Task("token-classification", ("O", "B-x", "I-x"))
LONG = 200
MADE = {name: make() for name, make in TOKENIZERS.items()}
TEXTS = [*HARD_TEXTS, "", " ", "play  the song ", "🎉🎉 play", "café ½"]


def as_data(texts: Sequence[str | tuple[str, str]]) -> Dataset:
    parts = [(text, None) if isinstance(text, str) else text for text in texts]
    return Dataset(tuple(Example(first, second, None, 0) for first, second in parts), "memory", "0")


def aligned(
    data: Dataset,
    student: PreTrainedTokenizerFast,
    teacher: PreTrainedTokenizerFast,
    task: Task = TASK,
    most: int = LONG,
) -> tuple[Encoded, Alignment]:
    """The student's tokens of at most `most`, and what they are made of."""
    mine = encode_spans(data, task, student, most)
    theirs = seen_by_student(*encode_spans(data, task, teacher, LONG), *mine)
    return mine[0], align(*mine, *theirs)


def dense(found: Alignment) -> list[np.ndarray]:
    """Weights of each example, `(student's tokens, teacher's tokens)`."""
    return [
        found.matrix(np.array([i]), int(found.lengths[i]), int(found.teacher.lengths[i]))[0]
        for i in range(len(found.lengths))
    ]


def assert_itself(student: Encoded, found: Alignment) -> None:
    assert np.array_equal(found.teacher.input_ids, student.input_ids)
    assert np.array_equal(found.teacher.offsets, student.offsets)
    for weights in dense(found):
        assert np.array_equal(weights, np.eye(len(weights)))
    places = np.arange(len(student.input_ids)) - np.repeat(student.offsets[:-1], student.lengths)
    assert np.array_equal(found.heads, places)


@pytest.mark.parametrize(("name", "most"), [*((name, LONG) for name in MADE), ("WordPiece", 7)])
def test_a_tokenizer_aligned_with_itself_gives_each_token_itself(name: str, most: int) -> None:
    pairs = list(pairwise(TEXTS))
    for texts in (TEXTS, pairs):
        assert_itself(*aligned(as_data(texts), MADE[name], MADE[name], most=most))


@pytest.mark.parametrize("name", ["byte-level BPE", "Unigram"])
def test_a_cut_within_a_character_leaves_the_teacher_the_rest_of_it(name: str) -> None:
    student, found = aligned(as_data(["🎉🎉 play"]), MADE[name], MADE[name], most=4)
    own, other = ([*ids[1:-1]] for ids in (student.input_ids, found.teacher.input_ids))
    assert other[: len(own)] == own
    assert len(other) - len(own) <= 3


@pytest.mark.parametrize("student", MADE)
@pytest.mark.parametrize("teacher", MADE)
@given(st.lists(st.one_of(st.text(max_size=20), st.sampled_from(TEXTS)), min_size=1, max_size=4))
def test_every_token_is_made_of_its_own_examples_tokens(student: str, teacher: str, texts: list[str]) -> None:
    encoded, found = aligned(as_data(texts), MADE[student], MADE[teacher])
    assert len(found.first) == len(encoded.input_ids) + 1
    lengths = np.repeat(np.repeat(found.teacher.lengths, found.lengths), np.diff(found.first))
    assert (found.sources >= 0).all()
    assert (found.sources < lengths).all()
    for weights in dense(found):
        assert weights.sum(1) == pytest.approx(1, abs=1e-5)
        assert weights[0, 0] == weights[-1, -1] == 1  # special tokens: first by first, last by last


def pieces(*tokens: str) -> PreTrainedTokenizerFast:
    """A WordPiece of these tokens, split at spaces."""
    vocabulary = {token: number for number, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *tokens])}
    backend = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]")


COARSE, FINE = pieces("playing", "now", "abc", "##def"), pieces("play", "##ing", "n", "##ow", "ab", "##cdef")


def test_weights_are_shared_characters() -> None:
    _, found = aligned(as_data(["playing now"]), COARSE, FINE)
    weights = dense(found)[0]
    assert weights[1] == pytest.approx([0, 4 / 7, 3 / 7, 0, 0, 0], abs=1e-3)
    assert weights[2] == pytest.approx([0, 0, 0, 1 / 3, 2 / 3, 0], abs=2e-3)
    _, found = aligned(as_data(["playing abcdef"]), FINE, COARSE)
    weights = dense(found)[0]
    assert np.array_equal(weights[1:3], [[0, 1, 0, 0, 0]] * 2)
    assert weights[4] == pytest.approx([0, 0, 1 / 4, 3 / 4, 0], abs=1e-3)


def test_of_a_pair_each_text_is_aligned_with_itself_and_the_tokens_between_in_order() -> None:
    _, found = aligned(as_data([("playing", "playing now"), ("", "now")]), COARSE, FINE)
    first, second = dense(found)
    # [CLS] playing [SEP] playing now [SEP] by [CLS] play ##ing [SEP] play ##ing n ##ow [SEP]
    assert [set(np.flatnonzero(row)) for row in first] == [{0}, {1, 2}, {3}, {4, 5}, {6, 7}, {8}]
    assert [set(np.flatnonzero(row)) for row in second] == [{0}, {1}, {2, 3}, {4}]


def test_the_teacher_reads_no_more_of_a_text_than_the_student() -> None:
    data = as_data(["playing now abcdef", "now"])
    student, found = aligned(data, COARSE, FINE, most=4)
    assert list(student.lengths) == [4, 3]
    ids = FINE.convert_ids_to_tokens(found.teacher.input_ids.tolist())
    assert ids == ["[CLS]", "play", "##ing", "n", "##ow", "[SEP]", "[CLS]", "n", "##ow", "[SEP]"]


def test_characters_that_the_teacher_drops_get_the_token_before() -> None:
    student, teacher = MADE["byte-level BPE"], MADE["WordPiece"]  # of which the second drops controls
    encoded, found = aligned(as_data(["play\u200b\u200b the"]), student, teacher)
    tokens = student.convert_ids_to_tokens(encoded.input_ids.tolist())
    weights = dense(found)[0]
    words = teacher.convert_ids_to_tokens(found.teacher.input_ids.tolist())
    dropped = [row for token, row in zip(tokens, weights, strict=True) if token in ("âĢĭ", "â", "Ģ", "ĭ")]
    assert dropped
    assert all(words[int(row.argmax())] == "play" for row in dropped)


def test_a_words_logits_go_from_first_token_to_first_token() -> None:
    words = (("playing", "abcdef", "now"), ("now", "now"))
    data = Dataset(tuple(Example(" ".join(w), None, w, (1,) * len(w)) for w in words), "memory", "0")
    for student, teacher in ((COARSE, FINE), (FINE, COARSE)):
        encoded, found = aligned(data, student, teacher, TAGGING)
        assert np.array_equal(encoded.labels, encode(data, TAGGING, student, LONG).labels)
        for i in range(2):
            own, other = (np.flatnonzero(e.select([i]).labels != IGNORED) for e in (encoded, found.teacher))
            heads = found.heads[encoded.offsets[i] : encoded.offsets[i + 1]]
            assert list(heads[own]) == list(other)


def test_words_are_aligned_where_one_tokenizer_takes_words_and_the_other_a_text() -> None:
    words = ("play", "café", "now")
    data = Dataset((Example(" ".join(words), None, words, (0, 1, 2)),), "memory", "0")
    for student in MADE:
        for teacher in MADE:
            encoded, found = aligned(data, MADE[student], MADE[teacher], TAGGING)
            own, other = (np.flatnonzero(e.labels != IGNORED) for e in (encoded, found.teacher))
            assert len(own) == 3
            assert list(found.heads[own]) == list(other)
