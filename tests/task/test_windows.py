"""Windows cover every word once, a short text is its own window, and joined logits are those of the rule."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertForSequenceClassification, BertForTokenClassification

from edgepack.demo.base import make_tokenizer
from edgepack.errors import InputError
from edgepack.inference import predict
from edgepack.runtime.predict import predict_session
from edgepack.task.dataset import Dataset, Example
from edgepack.task.encoded import IGNORED, Encoded
from edgepack.task.long_texts import one_text, split
from edgepack.task.task import Task
from edgepack.task.tokenize import encode, encode_spans, lengthen
from edgepack.task.windows import Windows, nearest, part_of, places
from edgepack.tokenizer.asset_tokenizer import kept_of_pair
from tests.task.test_tokenize import SENTENCES, TAGGING, TASK, classes, dataset, tiny_bert

PAIRS = Task("text-classification", ("neg", "pos"), pair=True)
SETS = Task("text-classification", ("a", "b", "c"), problem="multi_label_classification")
TOKENIZER = make_tokenizer(SENTENCES)
shapes = st.tuples(st.integers(4, 40), st.integers(0, 20), st.integers(0, 200), st.integers(0, 3))


class Recording:
    """A session whose logits say which ids it was given."""

    input_names = ("input_ids", "attention_mask")

    def __init__(self, per_token: bool = False) -> None:
        self.per_token, self.seen = per_token, []

    def run(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        ids = inputs["input_ids"]
        assert inputs["attention_mask"].all()
        self.seen.append(ids[0].tolist())
        rows = np.stack([ids, np.full_like(ids, len(self.seen))], axis=-1).astype(np.float32)
        return rows if self.per_token else rows.sum(axis=1)


@given(shapes)
def test_windows_cover_the_text_and_overlap_as_stated(shape: tuple[int, int, int, int]) -> None:
    length, overlap, own, before = shape
    windows = Windows(length, min(overlap, length // 2), "inner")
    count, part = own + 2, (min(before, 1), own + min(before, 1))
    spans = windows.spans(count, part)
    assert (spans[0][0], spans[-1][1]) == part
    if count <= length:
        assert spans == [part]
        return
    room = length - 2
    assert {end - start for start, end in spans} == {room}
    steps = [after[0] - start for (start, _), after in pairwise(spans)]
    assert all(step == room - min(windows.overlap, room // 2) for step in steps[:-1])
    assert 0 < steps[-1] <= room - min(windows.overlap, room // 2)


@given(shapes)
def test_each_token_is_of_one_window_where_it_lies_farthest_inside(shape: tuple[int, int, int, int]) -> None:
    length, overlap, own, _ = shape
    windows, count = Windows(length, min(overlap, length // 2), "inner"), own + 2
    spans = windows.spans(count, (1, own + 1))
    chosen = nearest(count, spans)
    assert len(chosen) == count
    assert chosen[0] == 0
    assert chosen[-1] == len(spans) - 1
    for token in range(1, own + 1):
        inside = [min(token - start, end - 1 - token) for start, end in spans]
        assert inside[chosen[token]] == max(inside)
        assert chosen[token] == inside.index(max(inside))


@given(st.lists(st.integers(0, 90), min_size=1, max_size=6), st.integers(8, 24), st.integers(0, 4))
def test_every_token_is_answered_once_by_a_window_that_holds_it(counts: list[int], length: int, overlap: int) -> None:
    """The pieces of a set hold each token of it, and the row that a token gets is one of its own id."""
    windows = Windows(length, overlap, "inner")
    lengths = np.array(counts) + 2
    ids = np.arange(lengths.sum(), dtype=np.int32)
    parts = np.array([(1, count + 1) for count in counts], np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    labels = np.where(ids % 2 == 0, ids, IGNORED).astype(np.int64)
    data = Encoded(ids, np.zeros(len(ids), np.int8), offsets, labels, windows=windows, parts=parts)
    found = split(data)
    assert found.pieces.lengths.max() <= length
    assert set(found.pieces.input_ids.tolist()) == set(ids.tolist())
    assert np.array_equal(found.pieces.input_ids[found.rows], ids)
    assert np.array_equal(found.joined(found.pieces.input_ids[:, None]), ids[:, None])
    assert found.ends.sum() == len(counts)
    assert np.array_equal(found.training().labels, labels[found.sources])
    session = Recording(per_token=True)
    assert np.array_equal(predict_session(session, data)[:, 0], ids)
    assert len(session.seen) == len(found.pieces)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 40))
def test_of_a_pair_the_longer_text_is_whole(first: int, second: int, room: int) -> None:
    kept = kept_of_pair(first, second, room)
    assert max(kept) == max(first, second)
    if first + second <= room:
        assert kept == (first, second)
    else:
        assert min(kept) == min(first, second, room // 2)
    assert (kept[0] < first) <= (first <= second)


def test_a_short_text_is_what_it_was() -> None:
    data = classes(SENTENCES)
    plain, whole = encode(data, TASK, TOKENIZER, 16), encode(data, TASK, TOKENIZER, TASK.windows(16))
    assert whole.windows is None
    assert whole.sha256() == plain.sha256()
    assert split(plain).pieces is plain
    assert lengthen(plain, data, TASK, TOKENIZER, TASK.windows(16)) is plain


def test_the_first_window_is_the_truncated_text() -> None:
    texts = ["play " * n for n in (1, 30, 3, 9, 8, 50, 1)]
    pairs = [Example(text, "stop songly " * n, None, 1) for n, text in enumerate(texts)]
    for task, data in ((TASK, classes(texts)), (PAIRS, dataset(pairs))):
        cut, whole = encode(data, task, TOKENIZER, 12), encode(data, task, TOKENIZER, task.windows(12))
        found = split(whole).training()
        assert np.array_equal(found.input_ids, cut.input_ids)
        assert np.array_equal(found.token_type_ids, cut.token_type_ids)
        assert np.array_equal(found.labels, cut.labels)
        again = whole.select([5, 0])
        assert np.array_equal(split(again).pieces.input_ids[:12], cut.input_ids[cut.rows([5])])


def test_both_texts_of_a_pair_are_read() -> None:
    """A long premise goes through windows under a short hypothesis, and the other way round."""
    texts = [("play the song " * 20, "stop"), ("stop", "play the song " * 20), ("play " * 40, "daily " * 41)]
    data = dataset([Example(text, pair, None, 1) for text, pair in texts])
    windows = PAIRS.windows(16)
    whole = encode(data, PAIRS, TOKENIZER, windows)
    found = split(whole)
    assert found.pieces.lengths.max() == 16
    stop, play = (TOKENIZER.convert_tokens_to_ids(word) for word in ("stop", "play"))
    for example in (0, 1):
        rows = [found.pieces.input_ids[found.pieces.rows([i])] for i in np.flatnonzero(found.owners == example)]
        assert len(rows) > 3
        assert all((row == stop).sum() == 1 for row in rows)
    both = [found.pieces.input_ids[found.pieces.rows([i])] for i in np.flatnonzero(found.owners == 2)]
    assert all((row == play).sum() == 13 // 2 for row in both)  # the shorter one, in half of the room
    cut, spans = encode_spans(data, PAIRS, TOKENIZER, windows)
    assert spans.truncated.tolist() == [False, False, True]
    assert len(spans.texts) == len(cut.input_ids)


def test_logits_are_joined_by_the_tasks_rule() -> None:
    words = " ".join(["play"] * 20)
    sets = Dataset((Example(words, None, None, (0, 1)), Example("stop", None, None, ())), "memory", "0")
    mean = predict_session(Recording(), encode(classes([words, "stop"]), TASK, TOKENIZER, TASK.windows(10)))
    largest = predict_session(Recording(), encode(sets, SETS, TOKENIZER, SETS.windows(10)))
    session = Recording()
    pieces = split(encode(classes([words, "stop"]), TASK, TOKENIZER, TASK.windows(10))).pieces
    each = predict_session(session, pieces)
    assert len(each) == 4
    assert np.array_equal(mean, [each[:3].mean(axis=0), each[3]])
    assert np.array_equal(largest, [each[:3].max(axis=0), each[3]])


@pytest.mark.parametrize("exact", [False, True])
def test_torch_and_sessions_see_the_same_windows(exact: bool) -> None:
    tags = dataset([Example("", None, ("play", "songly") * n, (0, 1) * n) for n in (1, 30, 2)])
    for task, data, kind in (
        (TAGGING, tags, BertForTokenClassification),
        (TASK, classes(["play " * 40, "stop", "daily " * 25]), BertForSequenceClassification),
    ):
        model = tiny_bert(kind)
        encoded = encode(data, task, TOKENIZER, task.windows(16))
        encoded = replace(encoded, input_ids=encoded.input_ids % 64)
        counted: list[int] = []
        logits = predict(model, encoded, exact=exact, advance=counted.append)
        assert sum(counted) == 3
        found = split(encoded)
        assert np.allclose(logits, found.joined(predict(model, found.pieces)), atol=1e-6)
        assert len(logits) == len(encoded.labels)
        short = encoded.select([0 if task.is_tagging else 1])
        assert np.allclose(predict(model, short), predict(model, split(short).pieces), atol=1e-6)


def test_a_long_text_is_no_single_input() -> None:
    encoded = encode(classes(["play " * 40]), TASK, TOKENIZER, TASK.windows(16))
    with pytest.raises(ValueError, match="windows"):
        encoded.batch([0])


def test_the_task_chooses() -> None:
    assert [task.windows(64).combine for task in (TAGGING, TASK, PAIRS, SETS)] == ["inner", "mean", "mean", "max"]
    assert TASK.windows(64) == Windows(64, 16, "mean")


@pytest.mark.parametrize("overlap", [-1, 9, 16, 10**12])
def test_windows_that_cannot_be_are_refused(overlap: int) -> None:
    with pytest.raises(InputError, match=f"windows of 16 tokens overlap by {overlap}; allowed: 0 to 8"):
        Windows(16, overlap, "mean")


def test_a_length_without_room_is_refused() -> None:
    with pytest.raises(InputError, match="no room"):
        split(one_text([2, 5, 5, 3], [0] * 4, Windows(2, 0, "mean"), (1, 3)))


def test_parts_and_places() -> None:
    assert part_of([None, 0, 0, None, 1, None]) == (1, 3)
    assert part_of([None, 0, None, 1, None]) == (3, 4)
    assert part_of([None, None]) == (0, 0)
    assert places(6, (1, 5), (2, 4)).tolist() == [0, 2, 3, 5]
