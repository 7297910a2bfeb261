"""Tokens that both texts of a pair have: which they are, what is added to them, and that it starts as nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from edgepack.compress.hidden_size import cut_hidden
from edgepack.compress.narrow_embedding import add_match
from edgepack.compress.tables import trim_vocabulary
from edgepack.errors import InputError
from edgepack.student.config import StudentConfig
from edgepack.student.match import match_words
from edgepack.student.model import Student
from edgepack.tokenizer.asset import separator_of
from tests.noisy import noisy_student
from tests.student.shapes import ONE_LAYER

SEPARATOR = 2
WORDS = {"<s>": 0, "</s>": 1, "|": 2, "a": 3, "b": 4}


def noisy(**changes: Any) -> Student:
    return noisy_student(StudentConfig(**(ONE_LAYER | changes))).eval()


def vector_of(student: Student) -> torch.nn.Parameter:
    assert student.embeddings.match is not None
    return student.embeddings.match


def found(ids: list[list[int]]) -> list[list[bool]]:
    """What matches in texts without padding."""
    tokens = torch.tensor(ids)
    matches: list[list[bool]] = match_words(tokens, torch.ones_like(tokens), SEPARATOR).tolist()
    return matches


def tokenizer_of(pair: str) -> Tokenizer:
    """Words, and this template for pairs."""
    tokenizer = Tokenizer(WordLevel(WORDS, unk_token="<s>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="<s> $A", pair=pair, special_tokens=list(WORDS.items())[:3])
    return tokenizer


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12))
def test_a_token_matches_where_the_other_side_of_the_first_separator_has_it(ids: list[int]) -> None:
    cut = ids.index(SEPARATOR) if SEPARATOR in ids else len(ids)
    first, second = set(ids[:cut]), set(ids[cut:])
    expected = [index in (second if place < cut else first) for place, index in enumerate(ids)]
    assert found([ids]) == [expected]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([0, 5, 6, 5, 2, 6, 9, 2], [0, 0, 1, 0, 0, 1, 0, 0]),  # BERT: [CLS] A [SEP] B [SEP]
        ([0, 5, 6, 2, 2, 6, 6, 2], [0, 0, 1, 0, 0, 1, 1, 0]),  # RoBERTa: two separators between
        ([0, 5, 6, 6, 2, 3, 3, 3], [0] * 8),  # a single text, padded on the right
        ([3, 3, 0, 5, 2, 5, 2], [0, 0, 0, 1, 0, 1, 0]),  # padded on the left
    ],
)
def test_tokens_that_tokenizers_add_match_nothing(ids: list[int], expected: list[int]) -> None:
    assert found([ids]) == [[bool(each) for each in expected]]


def test_texts_of_a_batch_are_compared_with_their_own_pairs() -> None:
    assert [sum(each) for each in found([[0, 5, 2, 6, 2], [0, 6, 2, 5, 2], [0, 7, 2, 7, 2]])] == [0, 0, 2]


@pytest.mark.parametrize("fill", [0, 5, 6, SEPARATOR])  # what begins every text, words of both, what parts them
@pytest.mark.parametrize("left", [False, True])
def test_padding_matches_nothing_whichever_token_fills_it(fill: int, left: bool) -> None:
    ids, none = [0, 5, 6, 2, 6, 9, 2], [fill] * 3
    expected = [0, 0, 1, 0, 1, 0, 0]
    whole, present = (none + ids, [0] * 3 + [1] * 7) if left else (ids + none, [1] * 7 + [0] * 3)
    matched = match_words(torch.tensor([whole]), torch.tensor([present]), SEPARATOR)[0].tolist()
    assert (matched[3:] if left else matched[:-3]) == [bool(each) for each in expected]


def test_a_pair_has_the_same_logits_alone_and_padded_with_one_of_its_tokens() -> None:
    student = add_match(noisy(), SEPARATOR)
    vector_of(student).data.normal_()
    ids = torch.tensor([[3, 10, 2, 10, 2]])
    padded, present = torch.tensor([[3, 10, 2, 10, 2, 3, 3]]), torch.tensor([[1] * 5 + [0] * 2])
    with torch.no_grad():
        assert torch.allclose(student(padded, present).logits, student(ids).logits, atol=1e-6)


def test_a_new_vector_changes_no_answer_and_then_those_of_matches_alone() -> None:
    student = noisy()
    same, other = torch.tensor([[3, 10, 2, 10, 2]]), torch.tensor([[3, 10, 2, 11, 2]])
    with torch.no_grad():
        added = add_match(student, SEPARATOR)
        assert torch.equal(added(same).logits, student(same).logits)
        vector_of(added).data.normal_()
        assert not torch.allclose(added(same).logits, student(same).logits, atol=1e-3)
        assert torch.equal(added(other).logits, student(other).logits)
        states = added(same, output_hidden_states=True).hidden_states
        assert torch.equal(states[0], student(same, output_hidden_states=True).hidden_states[0])


def test_its_vector_is_trained_by_what_the_head_says() -> None:
    student = add_match(noisy(), SEPARATOR)
    student.requires_grad_(True)
    student(torch.tensor([[3, 10, 2, 10, 2]])).logits.sum().backward()
    gradient = vector_of(student).grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


def test_it_follows_a_cut_of_the_vocabulary_and_of_the_hidden_size() -> None:
    student = add_match(noisy(), SEPARATOR)
    vector_of(student).data.normal_()
    trimmed = trim_vocabulary(student, [0, 1, 5, 2, 9], 0)
    assert trimmed.config.match_separator == 3
    ids = torch.tensor([[0, 2, 3, 2, 3]])  # of the trimmed table
    before = student(torch.tensor([[0, 5, 2, 5, 2]])).logits
    assert torch.allclose(trimmed(ids).logits, before)
    kept = torch.tensor([0, 3, 4, 7, 9, 10, 11, 15])
    assert torch.equal(vector_of(cut_hidden(student, kept)), vector_of(student)[kept])


@pytest.mark.parametrize("separator", [-1, 40])
def test_the_separator_is_a_token(separator: int) -> None:
    with pytest.raises(InputError, match=f"match_separator is {separator}; allowed: an id below 40"):
        StudentConfig(**(ONE_LAYER | {"match_separator": separator}))


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ("<s> $A | $B:1 |:1", 2),
        ("<s> $A </s> </s> $B </s>", 1),
        ("$A | $B", 2),
        ("$A $B", None),  # nothing parts the texts
        ("| $A | $B |", None),  # the token between stands before the first text, too
        ("<s> $B | $A", None),  # the other way round
    ],
)
def test_the_separator_is_what_the_tokenizer_puts_between(pair: str, expected: int | None) -> None:
    assert separator_of(tokenizer_of(pair)) == expected


@pytest.mark.parametrize("longest", [3, 4, 5])
def test_truncation_and_padding_do_not_hide_the_separator(longest: int) -> None:
    tokenizer = tokenizer_of("<s> $A | $B |")
    tokenizer.enable_padding(direction="left", pad_id=SEPARATOR, pad_token="|", length=8)
    tokenizer.enable_truncation(longest)
    assert separator_of(tokenizer) == SEPARATOR
    assert (tokenizer.truncation or {})["max_length"] == longest  # the tokenizer is its owner's
