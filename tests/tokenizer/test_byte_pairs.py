"""Byte-level BPE as `tokenizer.bin`: its plain reader equals the library in ids, type ids and offsets."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from edgepack.bundle.goldens import HARD_TEXTS
from edgepack.errors import InputError
from edgepack.tokenizer.asset import MAGIC, VERSION, asset_bytes, why_json
from edgepack.tokenizer.asset_parts import whole_points
from edgepack.tokenizer.byte_pairs import byte_tokens, classes_of, describe_merges, encode_merges, pattern_classes
from edgepack.tokenizer.reader import AssetTokenizer, read_tokenizer_asset

GPT2 = Path(__file__).parents[3] / "shared/data/tokenizers/gpt2"
SENTENCES = ["don't turn the lights on", "we'll play 12 songs", "naïve café 100 times", "the the  lights\n\nlight"]
PIECES = [
    *SENTENCES,
    "<mask>",
    "<s>",
    "  x",
    " ",
    "\t",
    "'s",
    "é",
    "e\u0301",
    "🏴",
    "\u3000",
    "\u00a0",
    "\x85",
    "12",
    "l",
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=6).map("".join)
PROCESSORS = ("RoBERTa's", "RoBERTa's, untrimmed", "GPT-2's", "a template")


@cache
def trained() -> str:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=330, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES * 3, trainer)
    return str(tokenizer.to_str())


def gpt2() -> str:
    """GPT-2's own merges."""
    if not GPT2.is_dir():
        pytest.skip("needs ../shared/data/tokenizers/gpt2")
    return str(Tokenizer(models.BPE.from_file(str(GPT2 / "vocab.json"), str(GPT2 / "merges.txt"))).to_str())


@cache
def make_tokenizer(
    prefix: bool = False, processor: str = PROCESSORS[0], normalized: bool = True, own: str | None = None
) -> Tokenizer:
    tokenizer = Tokenizer.from_str(own or trained())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer.add_special_tokens(
        [
            AddedToken("<s>", normalized=normalized),
            AddedToken("</s>", normalized=False),
            AddedToken("<mask>", lstrip=True, rstrip=not normalized, normalized=False),
        ]
    )
    tokenizer.add_tokens([AddedToken("  x", normalized=normalized)])
    first, last = (tokenizer.token_to_id(token) for token in ("<s>", "</s>"))
    if processor.startswith("RoBERTa"):
        trim = "untrimmed" not in processor
        tokenizer.post_processor = processors.RobertaProcessing(("</s>", last), ("<s>", first), trim, prefix)
    elif processor == "GPT-2's":
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=True, add_prefix_space=not prefix)
    else:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", first), ("</s>", last)]
        )
    return tokenizer


@cache
def reader_of(*arguments: Any) -> AssetTokenizer:
    return read_tokenizer_asset(asset_bytes(make_tokenizer(*arguments)))


def assert_equal(
    tokenizer: Tokenizer, reader: AssetTokenizer, text: str, pair: str | None = None, length: int = 0
) -> None:
    tokenizer.enable_truncation(length) if length else tokenizer.no_truncation()
    expected, got = tokenizer.encode(text, pair), reader.encode(text, pair, length or None)
    assert got.input_ids == expected.ids, ascii((text, pair))
    assert got.token_type_ids == expected.type_ids
    assert got.offsets_codepoint == expected.offsets, ascii((text, pair))


@settings(max_examples=400, deadline=None)
@given(
    TEXTS,
    st.none() | TEXTS,
    st.sampled_from([0, 5, 9, 16]),
    st.booleans(),
    st.sampled_from(PROCESSORS),
    st.booleans(),
)
def test_any_text(text: str, pair: str | None, length: int, prefix: bool, processor: str, normalized: bool) -> None:
    options = (prefix, processor, normalized)
    assert_equal(make_tokenizer(*options), reader_of(*options), text, pair, length)


def test_every_code_point() -> None:
    tokenizer, reader = make_tokenizer(), reader_of()
    points = [*range(0x3400), *range(0xA000, 0xAC00), *range(0xF900, 0x20000)]
    points = [point for point in points if not 0xD800 <= point < 0xE000]
    for start in range(0, len(points), 500):
        assert_equal(tokenizer, reader, " ".join(f"a{chr(p)}1{chr(p)}'" for p in points[start : start + 500]))


def test_hard_texts_with_gpt2s_merges() -> None:
    own = gpt2()
    tokenizer, reader = make_tokenizer(own=own), reader_of(False, PROCESSORS[0], True, own)
    for text, pair in zip(HARD_TEXTS, HARD_TEXTS[::-1], strict=True):
        assert_equal(tokenizer, reader, text, pair, 64)
    data = asset_bytes(tokenizer)
    assert len(data) < 0.11 * len(tokenizer.to_str().encode())


def test_a_long_word_takes_no_square_of_its_length() -> None:
    tokenizer, reader = make_tokenizer(), reader_of()
    letters = random.Random(0).choices("lightson the", k=20_000)
    assert_equal(tokenizer, reader, "".join(letters).replace(" ", ""))


def test_blocks_of_code_points_are_classified_as_single_ones() -> None:
    classes, chooser = pattern_classes(), random.Random(0)
    points = chooser.sample(whole_points(), 3_000) + list(range(0x20, 0x600))
    found = classes_of(points)
    for name in ("letters", "numbers", "gaps", "spaces", "punctuation", "padded"):
        assert getattr(found, name) == getattr(classes, name) & frozenset(points), name
    assert {0x20, 0xA0, 0x3000, 0x0A} <= classes.gaps
    assert 0x4E00 in classes.letters & classes.padded


def test_two_pairs_may_make_one_token() -> None:
    tokens = [*byte_tokens(), "ab", "bc", "abc"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [("a", "b"), ("b", "c"), ("a", "bc"), ("ab", "c")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    reader = read_tokenizer_asset(asset_bytes(tokenizer))
    for text in ("abc", "xabcbc", "bcabab"):
        assert_equal(tokenizer, reader, text)


def test_no_text_has_no_token_without_added_ones_too() -> None:
    tokenizer = Tokenizer.from_str(trained())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    reader = read_tokenizer_asset(asset_bytes(tokenizer))
    for text in ("", "a", " "):
        assert_equal(tokenizer, reader, text)


def test_bytes_are_deterministic_and_of_the_second_version() -> None:
    data = asset_bytes(make_tokenizer())
    assert data == asset_bytes(Tokenizer.from_str(make_tokenizer().to_str()))
    assert data.startswith(MAGIC + bytes([VERSION]))


def without(field: str, value: Any) -> Any:
    return lambda document: document["model"].update({field: value})


REFUSED = {
    "a step of its own": (
        lambda d: d.update(normalizer=json.loads(normalizers.Prepend("x").__getstate__())),
        "its normalizer has the step Prepend",
    ),
    "a pattern of its own": (
        lambda d: d["pre_tokenizer"].update(use_regex=False),
        "its pre-tokenizer is ByteLevel, not ByteLevel with GPT-2's pattern",
    ),
    "words first": (without("ignore_merges", True), "its model sets ignore_merges to True"),
    "merges in another order": (
        lambda d: d["model"]["merges"].reverse(),
        "its merges use 'Ġtim' before they make it",
    ),
    "bytes left out": (lambda d: d["model"]["vocab"].pop("!"), "its vocabulary lacks 1 of the 256 bytes"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_asset_cannot_say(name: str) -> None:
    change, reason = REFUSED[name]
    document = json.loads(make_tokenizer().to_str())
    assert why_json(document) is None
    change(document)
    assert why_json(document) == reason


def test_damage_is_an_input_error() -> None:
    tokenizer = make_tokenizer()
    data = replace(describe_merges(tokenizer, json.loads(tokenizer.to_str())), tables=pattern_classes())
    first = data.merges[0]
    for broken in (
        replace(data, merges=((70_000, first[1]), *data.merges[1:])),
        replace(data, results=(data.results[0] + 9, *data.results[1:])),
        replace(data, ids=(data.size + 5, *data.ids[1:])),
        replace(data, size=4),
        replace(data, tables=replace(data.tables, gaps=data.tables.gaps - {0x20})),
        replace(data, tables=replace(data.tables, letters=data.tables.letters | {0x20})),
    ):
        with pytest.raises(InputError, match=r"tokenizer asset of .* is damaged"):
            read_tokenizer_asset(encode_merges(broken, MAGIC, VERSION))
    whole = asset_bytes(tokenizer)
    for bad in (whole[:60], whole[:-3], whole + b"x", MAGIC + b"\x03" + whole[5:]):
        with pytest.raises(InputError):
            read_tokenizer_asset(bad)
