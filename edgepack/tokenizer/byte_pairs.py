"""Byte-level byte pair encoding as an asset: the tokenizer of GPT-2 and RoBERTa.

The method is Sennrich et al. 2016 (arXiv:1508.07909), on bytes as in Radford et al. 2019. Version 2 of
`tokenizer.bin`. Merges are pairs of numbers, so that no string of a token is needed: symbol 0 to 255 is a byte, each
further one is what a merge makes, in the order of the merges. Streams, each by zlib:

    0 header   varints and strings: kind 1, flags, count of ids, added tokens, the two templates
    1 ids      for each symbol its id, as the signed step from the id before plus one (zigzag varint)
    2 left     for each merge the left symbol: the low bytes of all, then the middle ones, then the high ones
    3 right    the same of the right symbol
    4 results  for each merge the symbol that it makes, as the signed step from the next new one; all 0 but where two
               pairs make one token
    5 classes  six range lists: letters, numbers, spaces of the pattern; spaces, punctuation and ideographs of words
    6 normalizer  step_streams.py; only where there are steps

The classes are what the pre-tokenizer itself answers for each code point, not what an edition of Unicode says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel

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
from edgepack.tokenizer.unicode_tables import BATCH, ideographs, is_one_piece, split_classes
from edgepack.tokenizer.writing import packed, range_list, steps, varints, zigzag

KIND = 1
PREFIX_SPACE = 1  # flag, beside those for trimming
BYTES = 256
OTHER_MERGING = ("dropout", "ignore_merges", "continuing_subword_prefix", "end_of_word_suffix")  # of a model, where set
PLANES = 3
MOST_SYMBOLS = 1 << 8 * PLANES
KEEPS = (range(0x21, 0x7F), range(0xA1, 0xAD), range(0xAE, 0x100))  # bytes that stand for themselves in a vocabulary
MARK = "!"  # neither letter nor number nor space
BLOCK = 128  # code points that are asked about together
SPLITTER = ByteLevel(add_prefix_space=False)


@dataclass(frozen=True)
class PatternClasses:
    """How GPT-2's pattern and word finding see code points."""

    letters: frozenset[int]
    numbers: frozenset[int]
    gaps: frozenset[int]  # `\\s` of the pattern
    spaces: frozenset[int]  # between words, and what added tokens swallow
    punctuation: frozenset[int]
    padded: frozenset[int]  # ideographs: words of their own


@dataclass(frozen=True)
class BytePairData:
    """All that the asset says."""

    size: int  # ids
    prefix_space: bool  # a space goes before each stretch that does not begin with one
    trim_offsets: bool  # offsets leave out the spaces at a token's ends
    trim_prefixed: bool  # … but for the one before the first
    ids: tuple[int, ...]  # of each symbol
    merges: tuple[tuple[int, int], ...]  # pairs of symbols, the first to be applied first
    results: tuple[int, ...]  # the symbol that each makes
    added: tuple[AddedToken, ...]
    single: tuple[Piece, ...]
    pair: tuple[Piece, ...]
    tables: PatternClasses
    normalizer: tuple[Step, ...]


def why_not(document: dict[str, Any]) -> str | None:
    """What of this byte-level tokenizer.json the asset cannot say; None where there is nothing."""
    model, before = document["model"], _byte_level_step(document["pre_tokenizer"])
    if before is None:
        kind = (document["pre_tokenizer"] or {}).get("type")
        return f"its pre-tokenizer is {kind or 'missing'}, not ByteLevel with GPT-2's pattern"
    for option in (*OTHER_MERGING, "byte_fallback"):
        if model.get(option):
            return f"its model sets {option} to {shown(model[option])}"
    missing = [token for token in byte_tokens() if token not in model["vocab"]]
    if missing:
        return f"its vocabulary lacks {len(missing)} of the 256 bytes"
    if len(model["vocab"]) >= MOST_SYMBOLS:
        return f"its vocabulary has {len(model['vocab']):,} tokens; less than {MOST_SYMBOLS:,} are allowed"
    made = set(byte_tokens())
    for left, right in map(split_merge, model["merges"]):
        if not {left, right} <= made:
            return f"its merges use {shown(right if left in made else left)} before they make it"
        made.add(left + right)
    return normalizer.why_not(document["normalizer"])


def _byte_level_step(pre_tokenizer: dict[str, Any] | None) -> dict[str, Any] | None:
    """The pre-tokenizer, where it is GPT-2's and nothing else."""
    steps_ = flat_steps(pre_tokenizer, "pretokenizers")
    if len(steps_) == 1 and steps_[0]["type"] == "ByteLevel" and steps_[0].get("use_regex", True):
        return steps_[0]
    return None


def byte_tokens() -> list[str]:
    """How a vocabulary writes each byte: itself where it is printed, else one of the characters behind U+0100."""
    kept = [byte for bytes_ in KEEPS for byte in bytes_]
    others = iter(range(BYTES))
    return [chr(byte) if byte in kept else chr(BYTES + next(others)) for byte in range(BYTES)]


def split_merge(merge: str | Sequence[str]) -> tuple[str, str]:
    """Both tokens of a merge, which older files write as one string."""
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right


def describe_merges(backend: Tokenizer, document: dict[str, Any]) -> BytePairData:
    """The asset's contents but for the tables of Unicode, which are empty here."""
    model = document["model"]
    vocabulary: dict[str, int] = model["vocab"]
    symbols = {token: number for number, token in enumerate(byte_tokens())}
    merges, results = [], []
    for merge in model["merges"]:
        left, right = split_merge(merge)
        merges.append((symbols[left], symbols[right]))
        results.append(symbols.setdefault(left + right, len(symbols)))
    before = _byte_level_step(document["pre_tokenizer"]) or {}
    trim_offsets, trim_prefixed = trims(document)
    added = [token["id"] for token in document["added_tokens"]]
    return BytePairData(
        size=max(*vocabulary.values(), *added, 0) + 1,
        prefix_space=bool(before["add_prefix_space"]),
        trim_offsets=trim_offsets,
        trim_prefixed=trim_prefixed,
        ids=tuple(vocabulary[token] for token in symbols),
        merges=tuple(merges),
        results=tuple(results),
        added=added_tokens(backend, document),
        single=template(backend, pair=False),
        pair=template(backend, pair=True),
        tables=PatternClasses(*(frozenset[int]() for _ in range(6))),
        normalizer=(),
    )


@cache
def pattern_classes() -> PatternClasses:
    """The classes of all code points."""
    return classes_of(whole_points())


def classes_of(points: Sequence[int]) -> PatternClasses:
    """The classes of these code points, asked of the pre-tokenizers themselves."""
    letters, mixed = set[int](), list[int]()
    for start in range(0, len(points), BLOCK):
        block = points[start : start + BLOCK]
        chars = "".join(map(chr, block))
        if is_one_piece(SPLITTER, "a" + chars):
            letters.update(block)
        elif not is_one_piece(SPLITTER, MARK + chars):
            mixed += block
    found, numbers, others = (_joined(mixed, before) for before in ("a", "1", MARK))
    gaps = frozenset(mixed) - found - numbers - others
    spaces, punctuation = split_classes(points)
    return PatternClasses(frozenset(letters) | found, numbers, gaps, spaces, punctuation, ideographs(points))


def _joined(points: Sequence[int], before: str) -> frozenset[int]:
    """The code points that GPT-2's pattern takes into one piece with the character before them."""
    behind = "a" if before == MARK else MARK
    found: set[int] = set()
    for start in range(0, len(points), BATCH):
        batch = points[start : start + BATCH]
        text = "".join(f"{behind}{before}{chr(point)}" for point in batch) + behind
        for _, (first, end) in SPLITTER.pre_tokenize_str(text):
            # of those whose place 3 i + 2 is in the piece, and so is the one before
            found.update(batch[i] for i in range(-(-(first - 1) // 3), (end - 3) // 3 + 1))
    return frozenset(found)


def encode_merges(data: BytePairData, magic: bytes, version: int) -> bytes:
    """The asset of this content."""
    flags = PREFIX_SPACE * data.prefix_space | TRIM_OFFSETS * data.trim_offsets | TRIM_PREFIXED * data.trim_prefixed
    header = varints((KIND, flags, data.size)) + header_tail(data.added, data.single, data.pair)
    new, differences = BYTES, []
    for result in data.results:
        differences.append(result - new)
        new = max(new, result + 1)
    tables = data.tables
    classes = (
        tables.letters,
        tables.numbers,
        tables.gaps,
        tables.spaces,
        tables.punctuation,
        tables.padded,
    )
    streams = [
        header,
        varints(zigzag(step - 1) for step in steps([index + 1 for index in data.ids])),
        _planes([left for left, _ in data.merges]),
        _planes([right for _, right in data.merges]),
        varints(zigzag(difference) for difference in differences),
        b"".join(range_list(points) for points in classes),
        *([encode_steps(data.normalizer)] if data.normalizer else []),
    ]
    return packed(magic, version, streams)


def _planes(numbers: Sequence[int]) -> bytes:
    return b"".join(bytes(number >> 8 * plane & 0xFF for number in numbers) for plane in range(PLANES))
