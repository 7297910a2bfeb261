"""The general stage: packing loses nothing, BERT's proportions hold, losses equal numpy's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.compress.general import (
    General,
    clean_line,
    encode_text,
    mask_words,
    masked_word_loss,
    order_pairs,
    sample_negatives,
    sentence_order_loss,
)
from edgepack.demo.base import make_tokenizer
from edgepack.errors import InputError

SAID = "the alarm rings at seven turn lights on play some music now"
WORDS = SAID.split()
TOKENIZER = make_tokenizer([SAID])
SENTENCES = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join), min_size=2, max_size=9)
LINES = st.lists(st.lists(st.sampled_from([*WORDS, "."]), max_size=12).map(" ".join), min_size=1, max_size=12)


def plain(text: str) -> list[int]:
    return list(TOKENIZER(text, add_special_tokens=False)["input_ids"])


def test_marks_of_wikitext_are_undone() -> None:
    assert clean_line(" a <unk> of 0 @.@ 7 @.@ 2 – 2 @,@ 300 well @-@ known \n") == "a of 0.7.2 – 2,300 well-known"
    assert clean_line(" = = Description = = ") == ""
    assert clean_line("x = y") == "x = y"
    assert clean_line(" <unk> ") == ""


@given(LINES, st.integers(4, 20), st.booleans())
@settings(max_examples=60, deadline=None)
def test_packing_loses_nothing_and_keeps_the_limit(lines: list[str], max_length: int, per_token: bool) -> None:
    if not any(line.strip() for line in lines):
        with pytest.raises(InputError, match="no sentences"):
            encode_text(lines, TOKENIZER, max_length)
        return
    data = encode_text(lines, TOKENIZER, max_length, per_token)
    first, last = data.offsets[:-1], data.offsets[1:] - 1
    assert data.lengths.max() <= max_length
    assert data.lengths.min() >= 3
    assert (data.input_ids[first] == TOKENIZER.cls_token_id).all()
    assert (data.input_ids[last] == TOKENIZER.sep_token_id).all()
    inner = np.ones(len(data.input_ids), bool)
    inner[[*first, *last]] = False
    assert data.input_ids[inner].tolist() == plain(" ".join(lines))
    assert len(data.labels) == (len(data.input_ids) if per_token else len(data))
    assert (data.labels == -100).all()
    assert not data.token_type_ids.any()


def test_sentences_are_packed_together_but_not_across_documents() -> None:
    lines = ["the alarm rings. turn lights on.", "play music", "", "play some music now", " = now = ", "the alarm"]
    data = encode_text(lines, TOKENIZER, 10)
    rows = [data.input_ids[data.rows([i])].tolist() for i in range(len(data))]
    texts = ["the alarm rings. turn lights on.", "play music", "play some music now", "the alarm"]
    assert rows == [TOKENIZER(text)["input_ids"] for text in texts]
    assert [len(r) for r in rows] == [10, 4, 6, 4]
    wider = encode_text(lines, TOKENIZER, 12)  # two words more fit behind the two sentences
    assert (
        wider.input_ids[wider.rows([0])].tolist()
        == TOKENIZER("the alarm rings. turn lights on. play music")["input_ids"]
    )


@given(SENTENCES, st.integers(13, 24), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_a_pair_is_two_consecutive_segments_swapped_or_not(lines: list[str], max_length: int, seed: int) -> None:
    data = order_pairs(lines, TOKENIZER, max_length, seed)  # two sentences of at most 5 words always fit
    again = order_pairs(lines, TOKENIZER, max_length, seed)
    assert np.array_equal(data.input_ids, again.input_ids)
    assert np.array_equal(data.labels, again.labels)
    assert data.lengths.max() <= max_length
    text = f" {' '.join(map(str, plain(' '.join(lines))))} "
    for i in range(len(data)):
        ids, types = data.input_ids[data.rows([i])].tolist(), data.token_type_ids[data.rows([i])].tolist()
        middle = ids.index(TOKENIZER.sep_token_id)
        first, second = ids[1:middle], ids[middle + 1 : -1]
        assert first
        assert second
        assert types == [0] * (middle + 1) + [1] * (len(second) + 1)
        in_order = second + first if data.labels[i] else first + second
        assert f" {' '.join(map(str, in_order))} " in text


def test_half_of_the_pairs_are_swapped_and_framed_as_the_tokenizer_does() -> None:
    lines = [line for _ in range(400) for line in ("the alarm rings", "play music", "")]
    data = order_pairs(lines, TOKENIZER, 16, 0)
    assert len(data) == 400
    assert abs(data.labels.mean() - 0.5) < 0.1
    for i in (int(np.argmin(data.labels)), int(np.argmax(data.labels))):
        texts = ("play music", "the alarm rings") if data.labels[i] else ("the alarm rings", "play music")
        expected = TOKENIZER(*texts, return_token_type_ids=True)
        assert data.input_ids[data.rows([i])].tolist() == expected["input_ids"]
        assert data.token_type_ids[data.rows([i])].tolist() == expected["token_type_ids"]
    other = order_pairs(lines, TOKENIZER, 16, 1)
    assert not np.array_equal(data.labels, other.labels)
    with pytest.raises(InputError, match="running order"):
        order_pairs(["the alarm rings", "", "play music"], TOKENIZER, 16, 0)


def test_masking_has_berts_proportions_and_touches_only_what_it_may() -> None:
    ids = torch.randint(10, 50, (400, 50), generator=torch.Generator().manual_seed(0))
    maskable = torch.rand(ids.shape, generator=torch.Generator().manual_seed(1)) < 0.8
    random_ids = torch.arange(50, 60)  # ids that the text does not use, so that their share can be counted
    seen, targets = mask_words(ids, maskable, 4, random_ids, torch.Generator().manual_seed(2))
    chosen = targets != -100
    assert torch.equal(targets[chosen], ids[chosen])
    assert torch.equal(seen[~chosen], ids[~chosen])
    assert not chosen[~maskable].any()
    count = int(maskable.sum())
    shares = {0.15: chosen.sum(), 0.12: (seen == 4).sum(), 0.015: (seen >= 50).sum()}
    for expected, found in shares.items():
        assert abs(int(found) / count - expected) < 4 * np.sqrt(expected * (1 - expected) / count)
    assert set(seen[seen >= 50].tolist()) == set(range(50, 60))
    again, _ = mask_words(ids, maskable, 4, random_ids, torch.Generator().manual_seed(2))
    other, _ = mask_words(ids, maskable, 4, random_ids, torch.Generator().manual_seed(3))
    assert torch.equal(seen, again)
    assert not torch.equal(seen, other)


def masked_problem(seed: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    hidden, table = torch.randn(3, 5, 6, generator=generator), torch.randn(11, 4, generator=generator)
    projection, bias = torch.randn(4, 6, generator=generator), torch.randn(11, generator=generator)
    targets = torch.randint(0, 11, (3, 5), generator=generator)
    targets[torch.rand(3, 5, generator=generator) < 0.5] = -100
    targets[0, 0] = 3
    return hidden, table, projection, targets, bias


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_the_masked_word_loss_is_the_mean_negative_log_likelihood(seed: int) -> None:
    hidden, table, projection, targets, bias = masked_problem(seed)
    losses, sampled, negatives = [], [], [2, 3, 7]
    for state, target in zip(hidden.numpy().reshape(-1, 6), targets.numpy().ravel(), strict=True):
        if target == -100:
            continue
        scores = np.exp(table.numpy() @ (projection.numpy() @ state) + bias.numpy())
        losses.append(-np.log(scores[target] / scores.sum()))
        drawn = [n for n in negatives if n != target]
        rest = scores[drawn].mean() * 10  # an estimate of the sum over the 10 other tokens
        sampled.append(-np.log(scores[target] / (scores[target] + rest)))
    assert float(masked_word_loss(hidden, table, projection, targets, bias)) == pytest.approx(np.mean(losses), rel=1e-4)
    few = masked_word_loss(hidden, table, projection, targets, bias, torch.tensor(negatives))
    assert float(few) == pytest.approx(np.mean(sampled), rel=1e-4)
    everything = masked_word_loss(hidden, table, projection, targets, bias, torch.arange(11))
    assert float(everything) == pytest.approx(np.mean(losses), rel=1e-4)


def test_the_masked_word_loss_reaches_the_table_and_is_zero_without_masked_words() -> None:
    hidden, table, projection, targets, _ = masked_problem(0)
    inputs = [tensor.requires_grad_() for tensor in (hidden, table, projection)]
    for gradient in torch.autograd.grad(masked_word_loss(*inputs, targets), inputs):
        assert gradient.abs().sum() > 0
    nothing = masked_word_loss(*inputs, torch.full_like(targets, -100))
    assert float(nothing.detach()) == 0
    assert torch.autograd.grad(nothing, [inputs[0]])[0].abs().sum() == 0


def test_negatives_are_different_ids_of_the_vocabulary() -> None:
    drawn = sample_negatives(100, 30, torch.Generator().manual_seed(0))
    assert len(set(drawn.tolist())) == 30
    assert 0 <= int(drawn.min()) <= int(drawn.max()) < 100
    assert sorted(sample_negatives(7, 30, torch.Generator().manual_seed(0)).tolist()) == list(range(7))


def test_the_order_loss_reads_the_first_token() -> None:
    generator = torch.Generator().manual_seed(0)
    hidden, weight = torch.randn(4, 3, 6, generator=generator), torch.randn(2, 6, generator=generator)
    bias, swapped = torch.tensor([0.5, -0.5]), torch.tensor([0, 1, 1, 0])
    scores = hidden[:, 0].numpy() @ weight.numpy().T + bias.numpy()
    likelihood = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    expected = -np.log(likelihood[np.arange(4), swapped.numpy()]).mean()
    assert float(sentence_order_loss(hidden, weight, bias, swapped)) == pytest.approx(expected, rel=1e-5)


def test_heads_exist_for_the_objectives_in_use_only() -> None:
    generator = torch.Generator().manual_seed(0)
    assert General().initial(6, 4, 11, generator) == {}
    both = General(masked_words=1.0, sentence_order=1.0).initial(6, 4, 11, generator)
    shapes = {name: tuple(tensor.shape) for name, tensor in both.items()}
    assert shapes == {"projection": (4, 6), "bias": (11,), "order.weight": (2, 6), "order.bias": (2,)}
    assert 0.01 < float(both["projection"].std()) < 0.04
    for wrong in ({"share": 1.0}, {"masked_words": -1.0}, {"sentence_order": -0.1}):
        with pytest.raises(InputError, match="allowed"):
            General(**wrong)
    with pytest.raises(InputError, match="max length is 3"):
        encode_text(["play music"], TOKENIZER, 3)
