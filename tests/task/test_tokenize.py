"""The flat layout, batches, word labels, buckets, and inference over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertConfig, BertForSequenceClassification, BertForTokenClassification, PreTrainedTokenizerFast

from edgepack.demo.base import make_tokenizer
from edgepack.inference import input_names, predict, torch_batch
from edgepack.runtime.predict import predict_session
from edgepack.task import tokenize
from edgepack.task.encoded import IGNORED, Encoded, length_buckets
from edgepack.task.examples import Dataset, Example
from edgepack.task.task import Task
from edgepack.task.tokenize import encode, shorten, suggest_max_length

TASK = Task("text-classification", ("neg", "pos"))
TAGGING = Task("token-classification", ("O", "B-x", "I-x"))
SENTENCES = [
    "play the song",
    "stop",
    "what is the weather in the city today",
    "play it again please",
    "daily daily daily",
]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = make_tokenizer(SENTENCES)
    tokenizer.backend_tokenizer.enable_truncation(3)  # as a tokenizer.json may hold from its own training
    tokenizer.backend_tokenizer.enable_padding(length=12)
    return tokenizer


def dataset(examples: list[Example]) -> Dataset:
    return Dataset(tuple(examples), "memory", "0")


def classes(texts: list[str]) -> Dataset:
    return dataset([Example(text, None, None, i % 2) for i, text in enumerate(texts)])


def random_encoded(lengths: list[int], per_token: bool = False) -> Encoded:
    generator = np.random.default_rng(0)
    total = sum(lengths)
    ids = generator.integers(5, 30, total).astype(np.int32)
    labels = generator.integers(0, 3, total if per_token else len(lengths))
    types = generator.integers(0, 2, total).astype(np.int8)
    return Encoded(ids, types, np.cumsum([0, *lengths]), labels)


def tiny_bert(model_class: type, seed: int = 0, **settings: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    return model_class(BertConfig(vocab_size=64, num_labels=3, max_position_embeddings=32, **shape, **settings))


def test_encode_overrides_the_tokenizers_own_truncation_and_padding(tokenizer: PreTrainedTokenizerFast) -> None:
    encoded = encode(classes(SENTENCES), TASK, tokenizer, 8)
    assert tokenizer.backend_tokenizer.truncation is None
    assert tokenizer.backend_tokenizer.padding is None
    expected = [tokenizer.backend_tokenizer.encode(s).ids for s in SENTENCES]
    assert encoded.lengths.tolist() == [min(8, len(ids)) for ids in expected]
    assert encoded.input_ids[encoded.rows([0])].tolist() == expected[0]
    assert encoded.input_ids[encoded.rows([2])][-1] == tokenizer.sep_token_id
    assert encoded.labels.tolist() == [0, 1, 0, 1, 0]
    assert (encoded.input_ids.dtype, encoded.token_type_ids.dtype) == (np.int32, np.int8)
    assert (encoded.offsets.dtype, encoded.labels.dtype) == (np.int64, np.int64)


def test_encode_pairs(tokenizer: PreTrainedTokenizerFast) -> None:
    pair = Task("text-classification", ("neg", "pos"), pair=True)
    encoded = encode(dataset([Example("play", "stop", None, 1)]), pair, tokenizer, 16)
    play, stop = tokenizer.convert_tokens_to_ids(["play", "stop"])
    sep = tokenizer.sep_token_id
    assert encoded.input_ids.tolist() == [tokenizer.cls_token_id, play, sep, stop, sep]
    assert encoded.token_type_ids.tolist() == [0, 0, 0, 1, 1]


def test_only_a_words_first_subword_is_labelled(tokenizer: PreTrainedTokenizerFast) -> None:
    words = ("play", "songly", "\u200b", "song")  # songly has two pieces, the zero-width space none
    encoded = encode(
        dataset([Example("", None, words, (0, 1, 2, 2)), Example("", None, ("stop",), (1,))]), TAGGING, tokenizer, 16
    )
    assert tokenizer.convert_ids_to_tokens(encoded.input_ids.tolist())[2:4] == ["song", "##ly"]
    i = IGNORED
    assert encoded.labels.tolist() == [i, 0, 1, i, 2, i, i, 1, i]
    assert encode(dataset([Example("", None, words, (0, 1, 2, 2))]), TAGGING, tokenizer, 4).labels.tolist() == [
        i,
        0,
        1,
        i,
    ]


def test_suggested_length(tokenizer: PreTrainedTokenizerFast) -> None:
    def encoded(*texts: str, limit: int = 512) -> Encoded:
        return encode(classes(list(texts)), TASK, tokenizer, limit)

    short, long = ["play"] * 999, "play " * 30
    assert suggest_max_length(encoded(*short), encoded(*short)) == 16
    assert suggest_max_length(encoded(*short), encoded(long)) == 32
    assert suggest_max_length(encoded(*short, long), encoded(*short)) == 16
    assert suggest_max_length(encoded(*short, *[long] * 3), encoded(*short)) == 32
    assert suggest_max_length(encoded(*short, limit=20), encoded(long, limit=20), limit=20) == 20


@pytest.mark.parametrize("kind", ["texts", "pairs", "tags"])
@pytest.mark.parametrize("length", [8, 9, 12, 40])
def test_what_is_shortened_is_what_a_shorter_input_gives(
    tokenizer: PreTrainedTokenizerFast, kind: str, length: int
) -> None:
    texts = ["play " * n for n in (1, 30, 3, 9, 8, 50, 1)]
    task, data = TASK, classes(texts)
    if kind == "pairs":
        task = Task("text-classification", ("neg", "pos"), pair=True)
        data = dataset([Example(text, "stop songly " * n, None, 1) for n, text in enumerate(texts)])
    elif kind == "tags":
        words = [tuple(["songly", "play"] * n) for n in (1, 20, 2, 4, 30, 1)]
        task, data = TAGGING, dataset([Example("", None, each, (1, 2) * (len(each) // 2)) for each in words])
    found = shorten(encode(data, task, tokenizer, 100), data, task, tokenizer, length)
    expected = encode(data, task, tokenizer, length)
    for name, array in vars(expected).items():
        assert np.array_equal(vars(found)[name], array), name
        assert array is None or vars(found)[name].dtype == array.dtype


def test_only_what_is_too_long_is_tokenized_again(
    tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, seen = classes(["play", "stop " * 30, "song"]), []
    whole = encode(data, TASK, tokenizer, 64)
    own = tokenize.encode_texts
    monkeypatch.setattr(
        tokenize, "encode_texts", lambda backend, texts, what: seen.append(texts) or own(backend, texts, what)
    )
    assert shorten(whole, data, TASK, tokenizer, 40) is whole
    assert shorten(whole, data, TASK, tokenizer, 8).lengths.tolist() == [3, 8, 3]
    assert seen == [["stop " * 30]]


@pytest.mark.parametrize("per_token", [False, True])
def test_batch_pads_on_the_right(per_token: bool) -> None:
    encoded = random_encoded([3, 1, 2], per_token)
    batch = encoded.batch([2, 0], pad_id=7)
    assert batch["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert batch["input_ids"].tolist() == [[*encoded.input_ids[4:6].tolist(), 7], encoded.input_ids[:3].tolist()]
    expected = [[*encoded.labels[4:6].tolist(), IGNORED], encoded.labels[:3].tolist()] if per_token else None
    assert batch["labels"].tolist() == (expected or encoded.labels[[2, 0]].tolist())
    assert all(array.dtype == np.int64 for array in batch.values())


@given(st.lists(st.integers(2, 9), min_size=1, max_size=20), st.randoms(use_true_random=False), st.booleans())
def test_select_and_rows_agree(lengths: list[int], random: object, per_token: bool) -> None:
    encoded = random_encoded(lengths, per_token)
    indices = np.random.default_rng(len(lengths)).integers(0, len(lengths), len(lengths) + 2)
    chosen = encoded.select(indices)
    pieces = [encoded.input_ids[encoded.offsets[i] : encoded.offsets[i + 1]] for i in indices]
    assert np.array_equal(chosen.input_ids, np.concatenate(pieces))
    assert chosen.lengths.tolist() == [len(p) for p in pieces]
    assert chosen.per_token == per_token
    for i, j in enumerate(indices):
        for name, array in chosen.batch([i]).items():
            assert np.array_equal(array, encoded.batch([j])[name])


@given(st.lists(st.integers(1, 60), min_size=1, max_size=300), st.integers(1, 8), st.integers(0, 3))
def test_buckets_hold_every_example_once(lengths: list[int], batch_size: int, epoch: int) -> None:
    batches = length_buckets(np.array(lengths), batch_size, seed=5, epoch=epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // batch_size)
    again = length_buckets(np.array(lengths), batch_size, seed=5, epoch=epoch)
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))


def test_buckets_save_padding_and_differ_between_epochs() -> None:
    lengths = np.random.default_rng(0).integers(2, 60, 2_000)
    first, second = (length_buckets(lengths, 16, seed=0, epoch=epoch) for epoch in (0, 1))
    padded = sum(len(b) * lengths[b].max() for b in first)
    assert padded < 1.05 * lengths.sum()
    assert {tuple(sorted(b)) for b in first}.isdisjoint(tuple(sorted(b)) for b in second)


@pytest.mark.parametrize("model_class", [BertForSequenceClassification, BertForTokenClassification])
def test_predict_equals_one_example_at_a_time(model_class: type) -> None:
    model = tiny_bert(model_class).train()
    encoded = random_encoded([5, 2, 9, 5, 3, 9], model_class is BertForTokenClassification)
    expected = []
    model.eval()
    with torch.no_grad():
        for i in range(len(encoded)):
            batch = torch_batch(encoded, [i])
            batch.pop("labels")
            expected.append(model(**batch).logits.reshape(-1, 3).numpy())
    model.train()
    seen: list[int] = []
    for exact in (False, True):
        logits = predict(model, encoded, batch_tokens=20, exact=exact, advance=seen.append)
        np.testing.assert_allclose(logits, np.concatenate(expected), atol=1e-6)
        assert logits.dtype == np.float32
    assert sum(seen) == 2 * len(encoded)
    assert model.training  # left as it came


def test_exact_batches_hold_no_padding() -> None:
    masks = []

    class Probe(torch.nn.Module):
        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> object:
            masks.append(attention_mask)
            return type("Output", (), {"logits": input_ids[:, :1].float()})

    encoded = random_encoded([5, 2, 9, 5, 3, 9, 5])
    logits = predict(Probe(), encoded, batch_tokens=10, exact=True)
    assert all(mask.all() for mask in masks)
    assert sorted(len(mask) for mask in masks) == [1, 1, 1, 1, 1, 2]
    assert logits[:, 0].tolist() == encoded.input_ids[encoded.offsets[:-1]].tolist()
    predict(Probe(), encoded, batch_tokens=63)
    assert not masks[-1].all()


def test_token_types_only_where_they_tell_segments_apart() -> None:
    assert "token_type_ids" in input_names(tiny_bert(BertForSequenceClassification))
    assert "token_type_ids" not in input_names(tiny_bert(BertForSequenceClassification, type_vocab_size=1))


@pytest.mark.parametrize("per_token", [False, True])
def test_predict_session_runs_texts_of_one_length_together_where_the_session_wants_that(per_token: bool) -> None:
    class Echo:
        input_names = ("input_ids", "attention_mask")
        texts_at_once = 2
        sizes: ClassVar[list[int]] = []

        def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
            ids = inputs["input_ids"]
            assert inputs["attention_mask"].all()
            self.sizes.append(len(ids))
            return ids[:, :, None] if per_token else ids[:, :1]

    encoded, done = random_encoded([4, 2, 3, 4, 2, 4], per_token), list[int]()
    expected = encoded.input_ids if per_token else encoded.input_ids[encoded.offsets[:-1]]
    assert predict_session(Echo(), encoded, done.append)[:, 0].tolist() == expected.tolist()
    assert Echo.sizes == done == [2, 1, 2, 1]


@pytest.mark.parametrize("per_token", [False, True])
def test_predict_session_runs_one_example_at_a_time(per_token: bool) -> None:
    class Echo:
        input_names = ("input_ids", "attention_mask")

        def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
            assert set(inputs) == set(self.input_names)
            ids = inputs["input_ids"]
            assert ids.shape[0] == 1
            assert ids.dtype == np.int64
            return ids[:, :, None] if per_token else ids[:, :1]

    encoded = random_encoded([4, 2, 3], per_token)
    expected = encoded.input_ids if per_token else encoded.input_ids[encoded.offsets[:-1]]
    assert predict_session(Echo(), encoded)[:, 0].tolist() == expected.tolist()
