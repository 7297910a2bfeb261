"""Long sentences cut between words: every word is there with its tag, pieces fit, overlap, and short ones stay."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack.demo.base import make_tokenizer
from edgepack.task.dataset import Dataset, Example
from edgepack.task.task import Task
from edgepack.task.tokenize import encode
from edgepack.task.windows import Windows
from edgepack.task.word_windows import _pieces, in_word_windows

TASK = Task("token-classification", ("O", "B-x", "I-x"))
WORDS = ["lamp", "bright", "unbelievably", "song", "tune", "a"]
TOKENIZER = make_tokenizer(["lamp bright song tune a"])  # the long word is several tokens


def sentence(count: int, seed: int) -> Example:
    generator = np.random.default_rng(seed)
    words = tuple(generator.choice(WORDS, count).tolist())
    return Example(" ".join(words), None, words, tuple(int(i) for i in generator.integers(0, 3, count)))


@pytest.mark.parametrize("overlap", [0, 4, 8])
def test_each_word_is_in_a_piece_with_its_tag(overlap: int) -> None:
    short, long = sentence(5, 0), sentence(60, 1)
    windows = Windows(24, overlap, "inner")
    found = in_word_windows(Dataset((short, long), "x", "x"), TASK, TOKENIZER, windows)
    assert found.examples[0] is short
    pieces = found.examples[1:]
    assert len(pieces) > 2
    whole = encode(found, TASK, TOKENIZER, 512)
    assert whole.lengths.max() <= 24
    seen, place = 0, 0
    for piece in pieces:
        assert piece.words is not None
        assert isinstance(piece.label, tuple)
        assert piece.text == " ".join(piece.words)
        assert long.words is not None
        assert isinstance(long.label, tuple)
        place = next(at for at in range(place, len(long.words)) if fits(long, piece, at) and at <= seen)
        seen = place + len(piece.words)
        place += 1
    assert seen == 60


def fits(whole: Example, piece: Example, at: int) -> bool:
    assert whole.words is not None
    assert piece.words is not None
    assert isinstance(whole.label, tuple)
    end = at + len(piece.words)
    return (whole.words[at:end], whole.label[at:end]) == (piece.words, piece.label)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(1, 12), st.integers(0, 6))
def test_pieces_cover_all_words_and_have_room(counts: list[int], room: int, overlap: int) -> None:
    overlap = min(overlap, room // 2)
    pieces = _pieces(np.array(counts, np.int64), room, overlap)
    assert (pieces[0][0], pieces[-1][1]) == (0, len(counts))
    for first, end in pieces:
        assert first < end
        assert sum(counts[first:end]) <= room or end == first + 1
    for (first, end), (after, last) in pairwise(pieces):
        assert first < after <= end < last
        assert sum(counts[after:end]) <= overlap
        if after > first + 1:  # one word more would be too much of it, or leave the next one no room
            assert sum(counts[after - 1 : end]) > overlap or sum(counts[after - 1 : end + 1]) > room
