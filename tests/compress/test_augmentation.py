"""Augmentation: neighbours by brute force; only allowed words change; labels, lengths and specials keep in step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from edgepack.compress.augmentation import Augmentation, add_augmented
from edgepack.compress.candidates import Candidates, MaskedWords, Neighbours, Words, find_neighbours, read_words
from edgepack.demo.base import make_tokenizer
from edgepack.errors import InputError
from edgepack.task.encoded import Encoded

PAD, CLS, SEP, MASK = 0, 1, 2, 3
VOCABULARY = 60
CONTINUES = np.isin(np.arange(VOCABULARY), np.arange(50, 60))
WHOLE = np.isin(np.arange(VOCABULARY), np.arange(5, 50))
WORDS = Words(WHOLE, CONTINUES)


def make_data(seed: int, examples: int = 40, per_token: bool = False, longest: int = 12) -> Encoded:
    """Examples of 0 to `longest` body tokens, a third of which continue the word before."""
    generator = np.random.default_rng(seed)
    bodies = [generator.integers(4, 50, generator.integers(0, longest + 1)) for _ in range(examples)]
    for body in bodies:
        inner = generator.random(len(body)) < 0.3
        inner[:1] = False
        body[inner] = generator.integers(50, 60, inner.sum())
    ids = [np.concatenate([[CLS], body, [SEP]]) for body in bodies]
    offsets = np.concatenate([[0], np.cumsum([len(i) for i in ids])]).astype(np.int64)
    flat = np.concatenate(ids).astype(np.int32)
    labels = generator.integers(0, 3, examples)
    if per_token:
        labels = np.where((flat >= 4) & ~CONTINUES[flat], generator.integers(0, 5, len(flat)), -100)
    return Encoded(flat, np.zeros(len(flat), np.int8), offsets, labels.astype(np.int64))


def make_neighbours(allowed: np.ndarray | None = None) -> Neighbours:
    table = torch.randn(VOCABULARY, 8, generator=torch.Generator().manual_seed(0))
    return find_neighbours(table, WORDS, np.ones(VOCABULARY, bool) if allowed is None else allowed, None, 4)


def new_examples(
    data: Encoded, count: int, candidates: Candidates, settings: Augmentation, seed: int, max_length: int | None = None
) -> Encoded:
    """The `count` new examples behind the old ones."""
    share = replace(settings, share=count / (len(data) + count))
    both = add_augmented(data, candidates, share, seed, max_length)
    assert np.array_equal(both.select(np.arange(len(data))).input_ids, data.input_ids)
    return both.select(np.arange(len(data), len(both)))


def test_neighbours_are_the_nearest_allowed_words_by_cosine_after_centring() -> None:
    generator = np.random.default_rng(0)
    table, counts = generator.normal(size=(VOCABULARY, 8)) + 3, generator.integers(0, 9, VOCABULARY)
    allowed = generator.random(VOCABULARY) < 0.6
    found = find_neighbours(torch.tensor(table), WORDS, allowed, counts, 4).table
    weight = np.sqrt(counts) + 1
    centred = table - (table * weight[:, None]).sum(0) / weight.sum()
    for source in range(VOCABULARY):
        if not WHOLE[source] or counts[source] == 0:
            assert (found[source] == -1).all()
            continue
        near = []
        for target in range(VOCABULARY):
            if WHOLE[target] and allowed[target] and target != source:
                norms = np.linalg.norm(centred[source]) * np.linalg.norm(centred[target])
                near.append((centred[source] @ centred[target] / norms, target))
        assert found[source].tolist() == [target for _, target in sorted(near, reverse=True)[:4]]


def test_fewer_candidates_than_asked_for_leave_gaps_and_none_change_nothing() -> None:
    allowed = np.isin(np.arange(VOCABULARY), [7, 8, 20, 55])  # 55 continues a word, so it is no candidate
    found = make_neighbours(allowed).table
    assert set(found[9].tolist()) == {7, 8, 20, -1}
    assert set(found[7].tolist()) == {8, 20, -1}
    data = make_data(0)
    new = new_examples(data, 40, make_neighbours(allowed), Augmentation(0.5, p_replace=1.0), seed=1)
    changed = new.input_ids[new.input_ids != augment_nothing(data, 40, 1).input_ids]
    assert set(changed.tolist()) == {7, 8, 20}
    none = make_neighbours(np.zeros(VOCABULARY, bool))
    same = new_examples(data, 40, none, Augmentation(0.5, p_replace=1.0), seed=1)
    assert np.array_equal(same.input_ids, augment_nothing(data, 40, 1).input_ids)


def augment_nothing(data: Encoded, count: int, seed: int) -> Encoded:
    """The sources that the same seed draws, unchanged."""
    return new_examples(data, count, make_neighbours(), Augmentation(0.5, p_replace=0.0), seed)


@given(st.integers(0, 10**6), st.booleans(), st.integers(0, 90), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_only_single_piece_words_become_allowed_candidates(
    seed: int, per_token: bool, count: int, p_replace: float
) -> None:
    allowed = np.random.default_rng(seed).random(VOCABULARY) < 0.5
    neighbours, data = make_neighbours(allowed), make_data(seed, per_token=per_token)
    new = new_examples(data, count, neighbours, Augmentation(0.5, p_replace), seed)
    old = augment_nothing(data, count, seed)
    assert len(new) == count
    assert np.array_equal(new.offsets, old.offsets)
    assert np.array_equal(new.labels, old.labels)
    changed = np.flatnonzero(new.input_ids != old.input_ids)
    for position in changed:
        before, after = int(old.input_ids[position]), int(new.input_ids[position])
        assert WHOLE[before]
        assert not CONTINUES[old.input_ids[position + 1]]  # a word of several pieces is left alone
        assert after in neighbours.table[before]
        assert allowed[after]
    if p_replace == 0:
        assert len(changed) == 0


def test_sources_are_used_equally_often_and_words_with_the_given_probability() -> None:
    data = make_data(3, examples=30)
    marked = replace(data, labels=np.arange(30))
    times = np.bincount(new_examples(marked, 75, make_neighbours(), Augmentation(0.5), 0).labels, minlength=30)
    assert set(times.tolist()) == {2, 3}
    new = new_examples(data, 6000, make_neighbours(), Augmentation(0.5, p_replace=0.4), 0)
    old = augment_nothing(data, 6000, 0)
    single = WHOLE[old.input_ids] & ~CONTINUES[np.append(old.input_ids[1:], 0)]
    share = (new.input_ids != old.input_ids)[single].mean()
    assert abs(share - 0.4) < 4 * np.sqrt(0.4 * 0.6 / single.sum())
    picked = new.input_ids[single & (new.input_ids != old.input_ids) & (old.input_ids == 9)]
    counts = np.array([(picked == c).sum() for c in make_neighbours().table[9]])
    assert counts.sum() == len(picked) > 100
    assert np.abs(counts / counts.sum() - 0.25).max() < 4 * np.sqrt(0.25 * 0.75 / counts.sum())


def test_the_seed_decides_everything() -> None:
    data, settings_ = make_data(1), Augmentation(0.5, splice=0.5)
    first, again, other = (new_examples(data, 50, make_neighbours(), settings_, seed) for seed in (5, 5, 6))
    assert np.array_equal(first.input_ids, again.input_ids)
    assert np.array_equal(first.offsets, again.offsets)
    assert not np.array_equal(first.input_ids[:40], other.input_ids[:40])


def bodies(data: Encoded) -> list[tuple[int, ...]]:
    return [tuple(data.input_ids[a + 1 : b - 1].tolist()) for a, b in zip(data.offsets, data.offsets[1:], strict=False)]


@given(st.integers(0, 10**6), st.integers(14, 20))
@settings(max_examples=40, deadline=None)
def test_spliced_texts_are_cut_at_words_or_joined_within_the_limit(seed: int, max_length: int) -> None:
    data = make_data(seed)
    marked = replace(data, labels=np.arange(len(data)))
    new = new_examples(marked, 60, make_neighbours(), Augmentation(0.5, 0.0, splice=1.0), seed, max_length=max_length)
    originals, longer = bodies(data), 0
    assert new.lengths.max() <= max_length
    assert (new.input_ids[new.offsets[:-1]] == CLS).all()
    assert (new.input_ids[new.offsets[1:] - 1] == SEP).all()
    for body, source in zip(bodies(new), new.labels, strict=True):
        own = originals[source]
        if not own:
            assert body == own
        elif body[: len(own)] == own and len(body) > len(own):
            assert body[len(own) :] in originals
            longer += 1
        else:
            at = [i for i in range(len(own)) if own[i : i + len(body)] == body]
            assert body
            assert any(
                not CONTINUES[own[i]] and (i + len(body) == len(own) or not CONTINUES[own[i + len(body)]]) for i in at
            )
    assert longer > 0


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_joined_tagged_texts_keep_their_labels_beside_their_tokens(seed: int) -> None:
    data = make_data(seed, per_token=True)
    tagged = data.labels != -100
    data = replace(data, labels=np.where(tagged, np.arange(len(tagged)), -100))  # a label says where it came from
    new = new_examples(data, 40, make_neighbours(), Augmentation(0.5, 0.0, splice=1.0), seed, max_length=20)
    assert len(new.labels) == len(new.input_ids)
    assert new.lengths.max() <= 20
    kept = new.labels != -100
    assert np.array_equal(new.input_ids[kept], data.input_ids[new.labels[kept]])
    assert np.array_equal(kept, (new.input_ids >= 4) & ~CONTINUES[new.input_ids])
    parts = [data.labels[data.rows([i])][tagged[data.rows([i])]].tolist() for i in range(len(data))]
    of = {label: i for i, part in enumerate(parts) for label in part}
    joined = 0
    for i in range(len(new)):
        labels = new.labels[new.rows([i])]
        labels = labels[labels != -100].tolist()
        first = parts[of[labels[0]]] if labels else []
        assert labels[: len(first)] == first
        rest = labels[len(first) :]
        assert not rest or parts[of[rest[0]]] == rest
        joined += bool(rest)
    assert joined >= 20


def test_the_share_is_honoured() -> None:
    data = make_data(2, examples=100)
    result = add_augmented(data, make_neighbours(), Augmentation(0.75, 0.5, splice=0.25), 0)
    assert len(result) == 400
    assert np.array_equal(result.select(np.arange(100)).input_ids, data.input_ids)
    assert np.array_equal(result.labels[:100], data.labels)
    plain = add_augmented(data, make_neighbours(), Augmentation(0.75, 0.0), 0)
    cut_or_joined = (result.lengths != plain.lengths)[100:].mean()
    assert abs(cut_or_joined - 0.25) < 0.1
    assert add_augmented(data, make_neighbours(), Augmentation(0.0), 0) is data


def test_pairs_are_replaced_but_never_spliced() -> None:
    ids = np.array([CLS, 9, 10, SEP, 11, SEP] * 4, np.int32)
    types = np.array([0, 0, 0, 0, 1, 1] * 4, np.int8)
    pairs = Encoded(ids, types, np.arange(0, 25, 6), np.zeros(4, np.int64))
    new = new_examples(pairs, 8, make_neighbours(), Augmentation(0.5, p_replace=1.0), 0)
    assert new.token_type_ids.tolist() == types.tolist() * 2
    assert (new.input_ids != np.tile(ids, 2)).sum() == 24
    with pytest.raises(InputError, match="splice"):
        new_examples(pairs, 8, make_neighbours(), Augmentation(0.5, splice=0.5), 0)


def test_a_masked_word_head_is_asked_with_all_chosen_words_masked() -> None:
    data, asked = make_data(4), []
    allowed = np.isin(np.arange(VOCABULARY), [10, 11, 12, 55])

    def logits(ids: Tensor, mask: Tensor, types: Tensor) -> Tensor:
        asked.append((ids, mask))
        scores = torch.zeros(*ids.shape, VOCABULARY)
        scores[..., 20], scores[..., 55] = 9.0, 8.0  # not of the student's vocabulary; continues a word
        scores[..., 11], scores[..., 12] = 5.0, 4.0
        return scores

    model = MaskedWords(logits, MASK, WORDS, allowed)
    settings_ = Augmentation(0.5, p_replace=1.0, candidates=2)
    new, old = new_examples(data, 40, model, settings_, 0), augment_nothing(data, 40, 0)
    single = WHOLE[old.input_ids] & ~CONTINUES[np.append(old.input_ids[1:], 0)]
    assert set(new.input_ids[single].tolist()) == {11, 12}
    assert np.array_equal(new.input_ids[~single], old.input_ids[~single])
    assert sum(int((ids == MASK).sum()) for ids, _ in asked) == single.sum()


def test_whole_words_of_a_tokenizer() -> None:
    tokenizer = make_tokenizer(["playing music now", "play it 7 times - now"])
    words, of = read_words(tokenizer, len(tokenizer) + 3), tokenizer.convert_tokens_to_ids
    assert words.whole[of(["playing", "music", "now", "it"])].all()
    assert not words.whole[of(["[CLS]", "[UNK]", "[MASK]", "##ing", "a", "7", "-", "##a"])].any()
    assert words.continues[of(["##ing", "##a"])].all()
    assert not words.continues[of(["playing", "[CLS]", "a", "-"])].any()
    assert len(words.whole) == len(tokenizer) + 3


@pytest.mark.parametrize(
    "wrong", [{"share": 1.0}, {"share": -0.1}, {"share": 0.5, "p_replace": 1.1}, {"share": 0.5, "candidates": 0}]
)
def test_settings_outside_their_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="allowed"):
        Augmentation(**wrong)  # type: ignore[arg-type]
