"""The tokenizer file that an app loads with the model, counted in shipped bytes.

A WordPiece tokenizer with BERT's normalizer and pre-tokenizer becomes `tokenizer.bin`: the vocabulary
front-coded in id order, and the Unicode data baked in, so that every device gives the reference's ids
whatever its own Unicode tables say. Any other tokenizer ships as its own `tokenizer.json`, minified.

Format of `tokenizer.bin`, version 1 (docs/bundle.md has the reader's steps):

    magic "EPTK", u8 version, then zlib streams, each behind its packed length as u32 little-endian:
      0 header     varints and strings: options, unknown and added tokens, the two templates
      1 lengths    for each id: bytes shared with the token before (u8), bytes of its own (varint)
      2 suffixes   the tokens' own UTF-8 bytes, joined; a length of 0 + 0 is an id without a token
      3 classes    four range lists: removed, spaces, punctuation, padded
      4 folds      code point → code points; 5 ranks of combining marks
    A varint is LEB128, a signed one zigzag first, a string its byte count and UTF-8.

Front coding pays when ids are in sorted order: 12,000 tokens of BERT's take 23 kB sorted and 44 kB in
the original order; whoever trims a vocabulary chooses. CJK compatibility ideographs whose folding cannot
change an id (neither form is a token) are left out of the folds. Not done: `single_word` added tokens
and tokens matched after normalization; such a tokenizer ships as JSON.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from edgepack.errors import InputError, shown
from edgepack.tokenizer.unicode_tables import UnicodeTables, unicode_tables

if TYPE_CHECKING:  # half a second to import
    from transformers import PreTrainedTokenizerBase

MAGIC, VERSION = b"EPTK", 1
MOST_PIECES = 64  # of a template
LONGEST_WORD = 1_000  # characters that are matched; BERT's limit is 100, and the time grows with the cube
ASSET_NAME, JSON_ASSET_NAME = "tokenizer.bin", "tokenizer.json"
LSTRIP, RSTRIP = 1, 2  # flags of an added token
HANGUL_FLAG = 1
NO_TABLES = UnicodeTables(frozenset(), frozenset(), frozenset(), frozenset(), {}, {}, False)
SPECIAL, FIRST = 0, 1  # kinds of a template's pieces; the second text is FIRST + 1


@dataclass(frozen=True)
class AddedToken:
    """A token matched in the raw text, before normalization."""

    id: int
    content: str
    flags: int


@dataclass(frozen=True)
class Piece:
    """One part of a template: a special token, or the first or second text's tokens."""

    kind: int
    id: int  # of a special token; 0 otherwise
    type_id: int


@dataclass(frozen=True)
class WordPieceData:
    """All that `tokenizer.bin` says."""

    vocabulary: tuple[str, ...]  # by id; "" where an id has no token
    prefix: str
    unknown_id: int
    max_word_length: int
    added: tuple[AddedToken, ...]
    single: tuple[Piece, ...]
    pair: tuple[Piece, ...]
    tables: UnicodeTables


def write_tokenizer_asset(tokenizer: Tokenizer | PreTrainedTokenizerBase, folder: Path) -> Path:
    """Write the asset into `folder` under the name that its format has; return its path."""
    data = asset_bytes(tokenizer)
    path = folder / (ASSET_NAME if data.startswith(MAGIC) else JSON_ASSET_NAME)
    path.write_bytes(data)
    return path


def asset_bytes(tokenizer: Tokenizer | PreTrainedTokenizerBase) -> bytes:
    """The asset of this tokenizer; the same bytes every time."""
    backend = backend_tokenizer(tokenizer)
    document: dict[str, Any] = json.loads(backend.to_str())
    if is_bert_wordpiece(document):
        return encode_asset(describe(backend, document))
    document["truncation"] = document["padding"] = None  # the manifest says these
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def backend_tokenizer(tokenizer: Tokenizer | PreTrainedTokenizerBase) -> Tokenizer:
    """A copy of the Rust tokenizer, without truncation and padding."""
    backend = tokenizer if isinstance(tokenizer, Tokenizer) else getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise InputError(f"tokenizer {type(tokenizer).__name__} is not a fast one; bring a tokenizer.json")
    copy = Tokenizer.from_str(backend.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy


def is_bert_wordpiece(document: dict[str, Any]) -> bool:
    """Whether `tokenizer.bin` can say what this tokenizer.json says."""
    return why_json(document) is None


def why_json(document: dict[str, Any]) -> str | None:
    """What of this tokenizer.json `tokenizer.bin` cannot say, so that it ships as JSON; None where there is nothing."""
    for part, wanted in (
        ("model", "WordPiece"),
        ("normalizer", "BertNormalizer"),
        ("pre_tokenizer", "BertPreTokenizer"),
    ):
        kind = (document.get(part) or {}).get("type")
        if kind != wanted:
            return f"its {part.replace('_', '-')} is {kind or 'missing'}, not {wanted}"
    for flag, how in (("normalized", "matched after normalization"), ("single_word", "matched as a whole word only")):
        tokens = [token["content"] for token in document["added_tokens"] if token[flag]]
        if tokens:
            return f"its added token {shown(tokens[0])} is {how} ({flag})"
    return None


def describe(backend: Tokenizer, document: dict[str, Any]) -> WordPieceData:
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
    added = tuple(
        AddedToken(t["id"], t["content"], LSTRIP * t["lstrip"] | RSTRIP * t["rstrip"]) for t in document["added_tokens"]
    )
    return WordPieceData(
        vocabulary=tuple(vocabulary),
        prefix=model["continuing_subword_prefix"],
        unknown_id=ids[model["unk_token"]],
        max_word_length=model["max_input_chars_per_word"],
        added=added,
        single=template(backend, pair=False),
        pair=template(backend, pair=True),
        tables=NO_TABLES,
    )


def template(backend: Tokenizer, pair: bool) -> tuple[Piece, ...]:
    """Where special tokens go, seen in what the post-processor does to one-word texts."""
    encoding = backend.encode("a", "a") if pair else backend.encode("a")
    pieces = []
    for index, type_id, sequence in zip(encoding.ids, encoding.type_ids, encoding.sequence_ids, strict=True):
        piece = Piece(SPECIAL, index, type_id) if sequence is None else Piece(FIRST + sequence, 0, type_id)
        if sequence is None or piece not in pieces:  # "a" may be several tokens of one text
            pieces.append(piece)
    return tuple(pieces)


def without_idle_folds(tables: UnicodeTables, tokens: frozenset[str]) -> UnicodeTables:
    """Leave out ideographs that stay words of one character and unknown, folded or not."""

    def idle(point: int, fold: tuple[int, ...]) -> bool:
        isolated = len(fold) == 1 and point in tables.padded and fold[0] in tables.padded
        return isolated and chr(point) not in tokens and chr(fold[0]) not in tokens

    folds = {point: fold for point, fold in tables.folds.items() if not idle(point, fold)}
    return UnicodeTables(**{**tables.__dict__, "folds": folds})


def encode_asset(data: WordPieceData) -> bytes:
    """`tokenizer.bin` of this content."""
    tables = data.tables
    classes = (tables.removed, tables.spaces, tables.punctuation, tables.padded)
    streams = [
        header_stream(data),
        *vocabulary_streams(data.vocabulary),
        b"".join(range_list(points) for points in classes),
        fold_stream(tables.folds),
        rank_stream(tables.ranks),
    ]
    packed = [zlib.compress(stream, 9) for stream in streams]
    return MAGIC + bytes([VERSION]) + b"".join(struct.pack("<I", len(p)) + p for p in packed)


def header_stream(data: WordPieceData) -> bytes:
    """Options, added tokens and templates."""
    flags = HANGUL_FLAG * data.tables.decomposes_hangul
    out = varints((flags, len(data.vocabulary), data.unknown_id, data.max_word_length)) + string(data.prefix)
    out += varints((len(data.added),))
    for token in data.added:
        out += varints((token.id, token.flags)) + string(token.content)
    for pieces in (data.single, data.pair):
        out += varints((len(pieces), *(n for p in pieces for n in (p.kind, p.id, p.type_id))))
    return out


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


def range_list(points: frozenset[int]) -> bytes:
    """The count of ranges, then for each its distance from the end of the one before and its length."""
    numbers: list[int] = []
    end, start = 0, None
    for point in sorted(points):
        if start is None or point != end:
            numbers += [point - end, 1]
            start = point
        else:
            numbers[-1] += 1
        end = point + 1
    return varints((len(numbers) // 2, *numbers))


def fold_stream(folds: dict[int, tuple[int, ...]]) -> bytes:
    """Column by column: distances between sources, lengths, signed steps between targets."""
    ordered = sorted(folds.items())
    sources = [point for point, _ in ordered]
    targets = [target for _, fold in ordered for target in fold]
    return (
        varints((len(ordered), *steps(sources)))
        + varints(len(fold) for _, fold in ordered)
        + varints(zigzag(step) for step in steps(targets))
    )


def rank_stream(ranks: dict[int, int]) -> bytes:
    """Distances between marks, then the rank of each."""
    ordered = sorted(ranks)
    return varints((len(ordered), *steps(ordered), *(ranks[p] for p in ordered)))


def steps(values: list[int]) -> list[int]:
    """Differences between neighbours, the first from 0."""
    return [value - before for before, value in zip([0, *values], values, strict=False)]


def zigzag(value: int) -> int:
    """0, −1, 1, −2 … as 0, 1, 2, 3 …"""
    return value * 2 if value >= 0 else -value * 2 - 1


def varints(values: Iterable[int]) -> bytes:
    """LEB128: seven bits a byte, lowest first, the high bit set on all but the last."""
    out = bytearray()
    for value in values:
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)
    return bytes(out)


def string(text: str) -> bytes:
    """Byte count and UTF-8."""
    data = text.encode()
    return varints((len(data),)) + data
