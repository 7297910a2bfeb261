"""Unigram as an asset: SentencePiece's language model of pieces, as XLM-RoBERTa, ALBERT, T5 and DeBERTa-v2 use it.

The method is Kudo 2018 (arXiv:1804.10959); the most likely split is Viterbi's. Version 2 of `tokenizer.bin`, kind 2.
Streams, each by zlib:

    0 header      varints and strings: kind, flags, ids, pieces, unknown id, pre-tokenizer, added tokens, templates
    1 lengths     for each piece by id: bytes shared with the one before (u8), bytes of its own (varint)
    2 suffixes    the pieces' own UTF-8 bytes, joined
    3 scores      for each piece its logarithmic probability, IEEE 754 little-endian: the lowest bytes of all first
    4 classes     three range lists: spaces, punctuation, ideographs
    5 normalizer  step_streams.py; only where there are steps

Scores have 32 bits, as SentencePiece writes them, or 64 where they need them: sums are compared, so no bit may go.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from tokenizers import Tokenizer

from edgepack.errors import shown
from edgepack.tokenizer import normalizer
from edgepack.tokenizer.asset_parts import (
    TRIM_OFFSETS,
    TRIM_PREFIXED,
    AddedToken,
    Piece,
    added_tokens,
    flat_steps,
    header_tail,
    template,
    trims,
    whole_points,
)
from edgepack.tokenizer.normalizer import Step
from edgepack.tokenizer.step_streams import encode_steps
from edgepack.tokenizer.unicode_tables import ideographs, split_classes
from edgepack.tokenizer.word_pieces import vocabulary_streams
from edgepack.tokenizer.writing import packed, range_list, string, varints

KIND = 2
BYTE_FALLBACK, WIDE = 1, 8  # flags, beside those for trimming; WIDE: scores of 64 bits
SPLIT_SPACES, SPLIT_MARKS, METASPACE = 1, 2, 3  # kinds of steps that split
SCHEMES = ("never", "first", "always")  # where a space is put before
PENALTY = 10.0  # below the lowest score: that of an unknown character


@dataclass(frozen=True)
class WordClasses:
    """How words are found, for entities and for splitting."""

    spaces: frozenset[int]
    punctuation: frozenset[int]
    padded: frozenset[int]  # ideographs: words of their own


@dataclass(frozen=True)
class Splitting:
    """A step of the pre-tokenizer; the rest is Metaspace's: the letter for a space, where one is put, whether to split.

    SPLIT_SPACES drops spaces, SPLIT_MARKS makes each punctuation mark a stretch of its own, METASPACE writes `letter`
    for a space and begins a stretch at each.
    """

    kind: int
    letter: int = 0
    scheme: int = 0
    splits: bool = False


@dataclass(frozen=True)
class UnigramData:
    """All that the asset says."""

    size: int  # ids
    byte_fallback: bool
    trim_offsets: bool
    trim_prefixed: bool
    unknown_id: int
    vocabulary: tuple[str, ...]  # by id
    scores: tuple[float, ...]
    splitting: tuple[Splitting, ...]
    added: tuple[AddedToken, ...]
    single: tuple[Piece, ...]
    pair: tuple[Piece, ...]
    tables: WordClasses
    normalizer: tuple[Step, ...]


def why_not(document: dict[str, Any]) -> str | None:
    """What of this Unigram tokenizer.json the asset cannot say; None where there is nothing."""
    model = document["model"]
    if model.get("unk_id") is None:
        return "its model has no unknown piece (unk_id)"
    for step in flat_steps(document["pre_tokenizer"], "pretokenizers"):
        if step["type"] == "Metaspace" and len(step["replacement"]) == 1 and step["prepend_scheme"] in SCHEMES:
            continue
        if step["type"] == "Punctuation" and step["behavior"] != "Isolated":
            return f"its pre-tokenizer splits punctuation as {shown(step['behavior'])}"
        if step["type"] not in ("WhitespaceSplit", "Punctuation"):
            return f"its pre-tokenizer has the step {step['type']}"
    return normalizer.why_not(document["normalizer"])


def describe_pieces(backend: Tokenizer, document: dict[str, Any]) -> UnigramData:
    """The asset's contents but for the tables of Unicode, which are empty here.

    Scores are those that the library holds: it reads a decimal of 17 digits to the last bit but one.
    """
    model = json.loads(backend.to_str())["model"]
    trim_offsets, trim_prefixed = trims(document)
    ids = [len(model["vocab"]) - 1, *(token["id"] for token in document["added_tokens"])]
    return UnigramData(
        size=max(ids) + 1,
        byte_fallback=bool(model.get("byte_fallback")),
        trim_offsets=trim_offsets,
        trim_prefixed=trim_prefixed,
        unknown_id=model["unk_id"],
        vocabulary=tuple(piece for piece, _ in model["vocab"]),
        scores=tuple(float(score) for _, score in model["vocab"]),
        splitting=tuple(_splitting(step) for step in flat_steps(document["pre_tokenizer"], "pretokenizers")),
        added=added_tokens(backend, document),
        single=template(backend, pair=False),
        pair=template(backend, pair=True),
        tables=WordClasses(frozenset(), frozenset(), frozenset()),
        normalizer=(),
    )


def _splitting(step: dict[str, Any]) -> Splitting:
    if step["type"] != "Metaspace":
        return Splitting(SPLIT_SPACES if step["type"] == "WhitespaceSplit" else SPLIT_MARKS)
    return Splitting(METASPACE, ord(step["replacement"]), SCHEMES.index(step["prepend_scheme"]), step["split"])


@cache
def word_classes() -> WordClasses:
    """The classes of all code points."""
    return word_classes_of(whole_points())


def word_classes_of(points: Sequence[int]) -> WordClasses:
    """The classes of these code points."""
    return WordClasses(*split_classes(points), ideographs(points))


def encode_pieces(data: UnigramData, magic: bytes, version: int) -> bytes:
    """The asset of this content."""
    wide = any(struct.unpack("<f", struct.pack("<f", score))[0] != score for score in data.scores)
    flags = BYTE_FALLBACK * data.byte_fallback | WIDE * wide
    flags |= TRIM_OFFSETS * data.trim_offsets | TRIM_PREFIXED * data.trim_prefixed
    header = varints((KIND, flags, data.size, len(data.vocabulary), data.unknown_id, len(data.splitting)))
    for step in data.splitting:
        header += varints((step.kind,))
        if step.kind == METASPACE:
            header += string(chr(step.letter)) + varints((step.scheme, int(step.splits)))
    tables = data.tables
    streams = [
        header + header_tail(data.added, data.single, data.pair),
        *vocabulary_streams(data.vocabulary),
        score_stream(data.scores, wide),
        b"".join(range_list(points) for points in (tables.spaces, tables.punctuation, tables.padded)),
        *([encode_steps(data.normalizer)] if data.normalizer else []),
    ]
    return packed(magic, version, streams)


def score_stream(scores: Sequence[float], wide: bool) -> bytes:
    """All lowest bytes, then all next ones, up to sign and exponent."""
    width = 8 if wide else 4
    whole = struct.pack(f"<{len(scores)}{'d' if wide else 'f'}", *scores)
    return b"".join(whole[plane::width] for plane in range(width))
