"""`tokenizer.bin` says enough: its plain reader equals the Hugging Face tokenizer everywhere."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

from edgepack.errors import InputError
from edgepack.tokenizer.asset import MAGIC, asset_bytes, write_tokenizer_asset
from edgepack.tokenizer.reader import WordPiece, read_tokenizer_asset
from edgepack.tokenizer.unicode_tables import CODE_POINTS, SURROGATES, unicode_tables

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
OTHERS = [0xDF, 0x131, 0x3C3, 0x3C2, 0x1100, 0x1161, 0x11A8, 0x4E00, 0x20000, 0x30AB]
LETTERS = [chr(c) for c in [*range(33, 127), *OTHERS]]


def make_tokenizer(lowercase: bool = True, strip_accents: bool | None = None, lstrip: bool = False) -> Tokenizer:
    """A small BERT tokenizer: all letters, alone and continuing, and a few longer pieces."""
    tokens = sorted({*LETTERS, *("##" + c for c in LETTERS), "the", "##ing", "cafe", "straße"})
    vocabulary = {token: index for index, token in enumerate([*SPECIALS, *tokens])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=20))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=strip_accents)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.add_special_tokens([*SPECIALS[:4], AddedToken("[MASK]", lstrip=lstrip, normalized=False)])
    return tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return make_tokenizer()


@pytest.fixture(scope="module")
def reader(tokenizer: Tokenizer) -> WordPiece:
    return read_tokenizer_asset(asset_bytes(tokenizer))


def assert_equal(tokenizer: Tokenizer, reader: WordPiece, text: str, pair: str | None = None, length: int = 0) -> None:
    tokenizer.enable_truncation(length) if length else tokenizer.no_truncation()
    expected = tokenizer.encode(text, pair)
    got = reader.encode(text, pair, length or None)
    assert got.input_ids == expected.ids, ascii((text, pair))
    assert got.token_type_ids == expected.type_ids
    assert got.offsets_codepoint == expected.offsets, ascii((text, pair))


def test_every_code_point(tokenizer: Tokenizer, reader: WordPiece) -> None:
    interesting = [p for p in range(0x20000) if p not in SURROGATES] + list(range(0xE0000, 0xE0200))
    for start in range(0, len(interesting), 500):
        assert_equal(tokenizer, reader, " ".join(f"a{chr(p)}b" for p in interesting[start : start + 500]))


def test_options_are_kept() -> None:
    for options in ((False, None), (True, False)):
        tokenizer = make_tokenizer(*options)
        reader = read_tokenizer_asset(asset_bytes(tokenizer))
        for text in ("Café CAFÉ", "cafe\u0301 İstanbul", "ΣΟΦΟΣ straße", "がカ\u3099"):
            assert_equal(tokenizer, reader, text)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=30), st.none() | st.text(max_size=12), st.sampled_from([0, 3, 4, 5, 7, 12]))
def test_any_text(tokenizer: Tokenizer, reader: WordPiece, text: str, pair: str | None, length: int) -> None:
    assert_equal(tokenizer, reader, text, pair, length)


def test_runs_of_marks(tokenizer: Tokenizer, reader: WordPiece) -> None:
    tables = unicode_tables(True, True, True, True)
    marks, chooser = sorted(tables.ranks), random.Random(0)
    for _ in range(1000):
        run = "".join(chr(chooser.choice(marks)) for _ in range(chooser.randint(1, 4)))
        assert_equal(tokenizer, reader, f"é{run} a{run}b")


@pytest.mark.parametrize("lstrip", [False, True])
def test_special_tokens_in_text(lstrip: bool) -> None:
    tokenizer = make_tokenizer(lstrip=lstrip)
    reader = read_tokenizer_asset(asset_bytes(tokenizer))
    for text in ("a [MASK] b", "[CLS][SEP]x[MASK]", " \u3000[MASK]", "[mask] [MASK", "the[MASK]\u00a0 the"):
        assert_equal(tokenizer, reader, text)


def test_utf16_offsets(reader: WordPiece) -> None:
    encoding = reader.encode("😀 the 𠀀a")
    assert encoding.offsets_codepoint[1:-1] == [(0, 1), (2, 5), (6, 7), (7, 8)]
    assert encoding.offsets_utf16[1:-1] == [(0, 2), (3, 6), (7, 9), (9, 10)]


def test_bytes_are_deterministic_and_small(tokenizer: Tokenizer) -> None:
    data = asset_bytes(tokenizer)
    assert data == asset_bytes(make_tokenizer())
    assert data.startswith(MAGIC)
    assert len(data) < 5_000  # the Unicode data is all but a few hundred bytes of it


def test_truncation_and_padding_settings_do_not_matter(tokenizer: Tokenizer) -> None:
    other = make_tokenizer()
    other.enable_truncation(8)
    other.enable_padding()
    assert asset_bytes(other) == asset_bytes(tokenizer)


def test_damage_is_an_input_error(tokenizer: Tokenizer) -> None:
    data = asset_bytes(tokenizer)
    for bad in (b"", data[:40], data[:-9], b"EPTK\x09" + data[5:], data[:30] + b"\0\0\0\0" + data[34:]):
        with pytest.raises(InputError):
            read_tokenizer_asset(bad)


def test_other_tokenizers_ship_as_json(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    path = write_tokenizer_asset(tokenizer, tmp_path)
    assert path.name == "tokenizer.json"
    assert json.loads(path.read_text())["model"]["vocab"] == {"a": 0, "b": 1, "ab": 2}
    assert Tokenizer.from_file(str(path)).encode("ab").ids == tokenizer.encode("ab").ids


def test_every_code_point_is_classified_once() -> None:
    tables = unicode_tables(True, True, True, True)
    assert not tables.spaces & tables.punctuation
    assert not set(tables.folds) & tables.removed
    assert max(tables.removed) < CODE_POINTS
    assert tables.folds[ord("É")] == (ord("e"),)
    assert tables.folds[0x301] == ()
