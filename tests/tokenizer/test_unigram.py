"""Unigram as `tokenizer.bin`: its plain reader equals the library in ids, type ids and offsets."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from edgepack.bundle.goldens import HARD_TEXTS
from edgepack.errors import InputError
from edgepack.tokenizer.asset import MAGIC, VERSION, asset_bytes, why_json
from edgepack.tokenizer.normalizer import Decompose, Map, Replace
from edgepack.tokenizer.reader import AssetTokenizer, read_tokenizer_asset
from edgepack.tokenizer.streams import read_asset
from edgepack.tokenizer.unigram import UnigramData, encode_pieces
from tests.apps.unigrams import ALBERT, T5, UNIGRAMS, unigram
from tests.tokenizer.test_byte_pairs import assert_equal

NAMES = ("albert", "t5", "xlm-r", "deberta-v2", "whole-wide", "late")
PIECES = ["the movie", "don't ", "``x''", "Straße", "ﬁ\u0301", "e\u0301", "É", "ΣΑΣ", "ｶﾞ", "각", "\u1100\u1161\u11a8"]
PIECES += [
    "<mask>",
    "<unk>",
    "<s>",
    " ",
    "  ",
    "\t",
    "\u3000",
    "▁",
    "x▁▁y",
    "ab\u0301",
    "@user",
    "\u00ad",
    "½",
    "क़\u0301",
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=6).map("".join)


@cache
def loaded(name: str) -> Tokenizer:
    """As it comes from a file: the library does not read each score to the last bit."""
    return Tokenizer.from_str(unigram(name).to_str())


@cache
def reader_of(name: str) -> AssetTokenizer:
    return read_tokenizer_asset(asset_bytes(unigram(name)))


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.none() | TEXTS, st.sampled_from([0, 5, 9, 16]), st.sampled_from(NAMES))
def test_any_text(text: str, pair: str | None, length: int, name: str) -> None:
    assert_equal(loaded(name), reader_of(name), text, pair, length)


@pytest.mark.parametrize("name", ["albert", "deberta-v2"])
def test_every_code_point(name: str) -> None:
    points = [*range(0x3400), *range(0xA000, 0xAC00), *range(0xF900, 0x20000)]
    points = [point for point in points if not 0xD800 <= point < 0xE000]
    for start in range(0, len(points), 500):
        assert_equal(
            loaded(name), reader_of(name), " ".join(f"a{chr(p)}1{chr(p)}" for p in points[start : start + 500])
        )


@pytest.mark.parametrize("source", [ALBERT, T5], ids=["albert", "t5"])
def test_hard_texts_with_a_real_vocabulary(source: Any) -> None:
    if not source.is_dir():
        pytest.skip("needs ../shared/data/tokenizers")
    tokenizer = unigram("albert", source)
    reader = read_tokenizer_asset(asset_bytes(tokenizer))
    for text, pair in zip(HARD_TEXTS, HARD_TEXTS[::-1], strict=True):
        assert_equal(tokenizer, reader, text, pair, 64)
    assert len(asset_bytes(tokenizer)) < 0.18 * len(tokenizer.to_str().encode())


def test_a_map_replaces_whole_clusters_by_their_first_key() -> None:
    """An accent behind a ligature is lost, half-width kana with a mark is composed only where the map says so."""
    reader, tokenizer = reader_of("t5"), loaded("t5")
    for text in ("ﬁ\u0301", "ﬁ\u0301\u0302\u0303", "ab\u0301", "カ\u3099", "ｶ\u3099", "\u0600½", "½\u200d"):
        assert_equal(tokenizer, reader, text)
    ids = {text: tuple(reader.encode(text).input_ids) for text in ("ﬁ", "ﬁ\u0301", "ﬁ\u0301\u0302\u0303")}
    assert ids["ﬁ"] == ids["ﬁ\u0301"] != ids["ﬁ\u0301\u0302\u0303"]


def test_of_equal_scores_the_first_way_stays() -> None:
    pieces = [("<unk>", 0.0), ("a", -2.0), ("b", -2.0), ("aa", -4.0), ("ab", -4.0), ("ba", -4.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, 0, False))
    reader = read_tokenizer_asset(asset_bytes(tokenizer))
    for text in ("aab", "aba", "abab", "baab", "aaaa", "xaby", "xyzab", "<unk>x"):
        assert_equal(tokenizer, reader, text)


def test_no_text_has_no_token() -> None:
    for name in NAMES:
        for text in ("", " ", "\u00ad", "\u200b"):
            assert_equal(loaded(name), reader_of(name), text)


def test_scores_have_the_bits_that_they_need() -> None:
    narrow, wide = (read_asset(asset_bytes(unigram(name))) for name in ("late", "whole-wide"))
    assert isinstance(narrow, UnigramData)
    assert isinstance(wide, UnigramData)
    for name, data in (("late", narrow), ("whole-wide", wide)):
        vocabulary = json.loads(loaded(name).to_str())["model"]["vocab"]
        assert data.scores == tuple(score for _, score in vocabulary)


def test_bytes_are_deterministic_and_say_all_of_the_content() -> None:
    for name in UNIGRAMS:
        data = asset_bytes(loaded(name))
        assert data.startswith(MAGIC + bytes([VERSION]))
        content = read_asset(data)
        assert isinstance(content, UnigramData)
        assert encode_pieces(content, MAGIC, VERSION) == data


def step(kind: str, **settings: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document.update(normalizer={"type": kind, **settings})


REFUSED: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no unknown piece": (lambda d: d["model"].update(unk_id=None), "its model has no unknown piece (unk_id)"),
    "a step of its own": (step("Nmt"), "its normalizer has the step Nmt"),
    "a pattern": (
        step("Replace", pattern={"Regex": "(a|b)+"}, content=""),
        "its normalizer replaces the pattern '(a|b)+'",
    ),
    "a broken map": (
        step("Precompiled", precompiled_charsmap="AAAA"),
        "its Precompiled normalizer is no character map",
    ),
    "digits": (
        lambda d: d.update(pre_tokenizer={"type": "Digits", "individual_digits": True}),
        "its pre-tokenizer has the step Digits",
    ),
    "punctuation left out": (
        lambda d: d.update(pre_tokenizer={"type": "Punctuation", "behavior": "Removed"}),
        "its pre-tokenizer splits punctuation as 'Removed'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_asset_cannot_say(name: str) -> None:
    change, reason = REFUSED[name]
    document = json.loads(unigram("plain").to_str())
    assert why_json(document) is None
    change(document)
    assert (why_json(document) or "").startswith(reason)


def test_damage_is_an_input_error() -> None:
    data = read_asset(asset_bytes(unigram("plain")))
    assert isinstance(data, UnigramData)
    twice = Map({97: (97,) * 60})
    for broken in (
        replace(data, unknown_id=len(data.vocabulary)),
        replace(data, size=3),
        replace(data, scores=(float("inf"), *data.scores[1:])),
        replace(data, scores=data.scores[1:]),
        replace(data, normalizer=(twice, twice)),
        replace(data, normalizer=(Replace("", "x"),)),
        replace(data, normalizer=(Decompose({}, {0x110000: 1}, {}),)),
    ):
        with pytest.raises(InputError, match=r"tokenizer asset of .* is damaged"):
            read_tokenizer_asset(encode_pieces(broken, MAGIC, VERSION))


def test_tokens_are_found_where_there_is_no_normalizer() -> None:
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), ("▁", -1.0)], 0, False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_tokens([AddedToken("x y", normalized=True, lstrip=True)])
    reader = read_tokenizer_asset(asset_bytes(tokenizer))
    for text in ("x y", "a  x y b", "x  y"):
        assert_equal(tokenizer, reader, text)
