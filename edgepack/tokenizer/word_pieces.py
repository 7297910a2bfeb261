"""BERT's WordPiece tokenizer as an asset: version 1 of `tokenizer.bin` (docs/bundle.md has the reader's steps).

Streams, each by zlib:

    0 header     varints and strings: options, unknown and added tokens, the two templates
    1 lengths    for each id: bytes shared with the token before (u8), bytes of its own (varint)
    2 suffixes   the tokens' own UTF-8 bytes, joined; a length of 0 + 0 is an id without a token
    3 classes    four range lists: removed, spaces, punctuation, padded
    4 folds      code point → code points; 5 ranks of combining marks

Front coding pays when ids are in sorted order: 12,000 tokens of BERT's take 23 kB sorted and 44 kB in
the original order; whoever trims a vocabulary chooses. CJK compatibility ideographs whose folding cannot
change an id (neither form is a token) are left out of the folds. With added tokens that are matched after
normalization, which a reader of version 1 does not know, the same is written as version 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from tokenizers import Tokenizer

from edgepack.tokenizer.asset_parts import AddedToken, Piece, added_tokens, header_tail, template
from edgepack.tokenizer.unicode_tables import UnicodeTables, unicode_tables
from edgepack.tokenizer.writing import fold_stream, packed, range_list, rank_stream, string, varints

KIND = 0
LONGEST_WORD = 1_000  # characters that are matched; BERT's limit is 100, and the time grows with the cube
HANGUL_FLAG = 1
NO_TABLES = UnicodeTables(frozenset(), frozenset(), frozenset(), frozenset(), {}, {}, False)


@dataclass(frozen=True)
class WordPieceData:
    """All that the asset says."""

    vocabulary: tuple[str, ...]  # by id; "" where an id has no token
    prefix: str
    unknown_id: int
    max_word_length: int
    added: tuple[AddedToken, ...]
    single: tuple[Piece, ...]
    pair: tuple[Piece, ...]
    tables: UnicodeTables


def why_not(document: dict[str, Any]) -> str | None:
    """What of this WordPiece tokenizer.json the asset cannot say; None where there is nothing."""
    for part, wanted in (("normalizer", "BertNormalizer"), ("pre_tokenizer", "BertPreTokenizer")):
        kind = (document.get(part) or {}).get("type")
        if kind != wanted:
            return f"its {part.replace('_', '-')} is {kind or 'missing'}, not {wanted}"
    return None


def describe_word_pieces(backend: Tokenizer, document: dict[str, Any]) -> WordPieceData:
    """The asset's contents, from a tokenizer and its tokenizer.json."""
    data = describe_words(backend, document)
    return replace(
        data, tables=without_idle_folds(unicode_tables(*table_options(document)), frozenset(data.vocabulary))
    )


def table_options(document: dict[str, Any]) -> tuple[bool, bool, bool, bool]:
    """The options of its normalizer, in the order of `unicode_tables`."""
    options = document["normalizer"]
    strip = options["strip_accents"]
    lowercase = options["lowercase"]
    return options["clean_text"], options["handle_chinese_chars"], lowercase if strip is None else strip, lowercase


def describe_words(backend: Tokenizer, document: dict[str, Any]) -> WordPieceData:
    """The asset's contents but for the Unicode tables, which are empty here and take seconds to ask for."""
    model = document["model"]
    ids: dict[str, int] = {**{t["content"]: t["id"] for t in document["added_tokens"]}, **model["vocab"]}
    vocabulary = [""] * (max(ids.values()) + 1)
    for token, index in ids.items():
        vocabulary[index] = token
    return WordPieceData(
        vocabulary=tuple(vocabulary),
        prefix=model["continuing_subword_prefix"],
        unknown_id=ids[model["unk_token"]],
        max_word_length=model["max_input_chars_per_word"],
        added=added_tokens(backend, document),
        single=template(backend, pair=False),
        pair=template(backend, pair=True),
        tables=NO_TABLES,
    )


def without_idle_folds(tables: UnicodeTables, tokens: frozenset[str]) -> UnicodeTables:
    """Leave out ideographs that stay words of one character and unknown, folded or not."""

    def idle(point: int, fold: tuple[int, ...]) -> bool:
        isolated = len(fold) == 1 and point in tables.padded and fold[0] in tables.padded
        return isolated and chr(point) not in tokens and chr(fold[0]) not in tokens

    folds = {point: fold for point, fold in tables.folds.items() if not idle(point, fold)}
    return UnicodeTables(**{**tables.__dict__, "folds": folds})


def encode_word_pieces(data: WordPieceData, magic: bytes, version: int) -> bytes:
    """The asset of this content; in version 2 the header begins with the kind."""
    tables = data.tables
    classes = (tables.removed, tables.spaces, tables.punctuation, tables.padded)
    streams = [
        varints((KIND,) if version > 1 else ()) + header_stream(data),
        *vocabulary_streams(data.vocabulary),
        b"".join(range_list(points) for points in classes),
        fold_stream(tables.folds),
        rank_stream(tables.ranks),
    ]
    return packed(magic, version, streams)


def header_stream(data: WordPieceData) -> bytes:
    """Options, added tokens and templates."""
    flags = HANGUL_FLAG * data.tables.decomposes_hangul
    out = varints((flags, len(data.vocabulary), data.unknown_id, data.max_word_length)) + string(data.prefix)
    return out + header_tail(data.added, data.single, data.pair)


def vocabulary_streams(vocabulary: Iterable[str]) -> tuple[bytes, bytes]:
    """Front coding: how much each token shares with the one before, and the bytes that it does not."""
    lengths, suffixes, previous = bytearray(), bytearray(), b""
    for token in vocabulary:
        text = token.encode()
        shared = 0
        while shared < min(len(text), len(previous), 255) and text[shared] == previous[shared]:
            shared += 1
        lengths += bytes([shared]) + varints((len(text) - shared,))
        suffixes += text[shared:]
        previous = text
    return bytes(lengths), bytes(suffixes)
