"""What a `tokenizer.bin` says, out of its bytes; every number has a bound before anything is made of it.

A bundle may come from anywhere: a kilobyte of zlib can unpack to a megabyte, a range can span 2^40 code points, a token
can share 255 bytes with each of a million before it. Whatever is beyond what a writer could mean is damage.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from math import isfinite

from edgepack.errors import InputError
from edgepack.tokenizer import byte_pairs, unigram, word_pieces
from edgepack.tokenizer.asset import MAGIC, VERSION, WORD_PIECE_VERSION, AssetData
from edgepack.tokenizer.asset_parts import MOST_PIECES, SPECIAL, TRIM_OFFSETS, TRIM_PREFIXED, AddedToken, Piece
from edgepack.tokenizer.byte_pairs import (
    BYTES,
    MOST_SYMBOLS,
    PLANES,
    PREFIX_SPACE,
    BytePairData,
    PatternClasses,
)
from edgepack.tokenizer.step_streams import decode_steps
from edgepack.tokenizer.stream_reader import Reader, decode_folds, decode_ranks, running, signed
from edgepack.tokenizer.unicode_tables import UnicodeTables
from edgepack.tokenizer.unigram import (
    BYTE_FALLBACK,
    METASPACE,
    SCHEMES,
    SPLIT_SPACES,
    WIDE,
    Splitting,
    UnigramData,
    WordClasses,
)
from edgepack.tokenizer.word_pieces import HANGUL_FLAG, LONGEST_WORD, WordPieceData

MOST_STREAMS = 7
SPACE = 0x20
LARGEST_STREAM = 16 << 20  # bytes unpacked; the suffixes of 250,000 tokens take 2 MB
MOST_TOKENS, LARGEST_VOCABULARY = 2_000_000, 64 << 20  # and the bytes of all of them together
MOST_SPLITS = 100


def read_asset(data: bytes) -> AssetData:
    """The content of a `tokenizer.bin`; `InputError` where it is none or damaged."""
    version = data[4] if len(data) > 4 else 0
    if data[:4] != MAGIC or version not in (WORD_PIECE_VERSION, VERSION):
        known = f"{MAGIC!r} and the version {WORD_PIECE_VERSION} or {VERSION}"
        raise InputError(f"tokenizer asset starts with {data[:5]!r}, not {known}; bundle again")
    try:
        streams = [Reader(stream) for stream in _unpacked(data)]
        kind = word_pieces.KIND if version == WORD_PIECE_VERSION else streams[0].number()
        if kind not in DECODE:
            raise ValueError(f"a tokenizer of kind {kind}")
        return DECODE[kind](*streams)
    except (zlib.error, struct.error, IndexError, TypeError, ValueError) as e:  # UnicodeDecodeError is a ValueError
        raise InputError(f"tokenizer asset of {len(data)} bytes is damaged ({e}); bundle again") from e


def _unpacked(data: bytes) -> Iterator[bytes]:
    at = 5
    for _ in range(MOST_STREAMS):
        if at == len(data):
            return
        (size,) = struct.unpack_from("<I", data, at)
        stream = zlib.decompressobj()
        unpacked = stream.decompress(data[at + 4 : at + 4 + size], LARGEST_STREAM)
        if not stream.eof:
            raise ValueError(f"a stream is cut off or unpacks to more than {LARGEST_STREAM:,} bytes")
        yield unpacked
        at += 4 + size
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes stand behind its {MOST_STREAMS} streams")


def decode_word_pieces(
    header: Reader, lengths: Reader, suffixes: Reader, classes: Reader, folds: Reader, ranks: Reader
) -> WordPieceData:
    """A WordPiece tokenizer from its six streams."""
    flags, size = header.number(), header.number(MOST_TOKENS)
    unknown_id, max_word_length = header.number(size), header.number(LONGEST_WORD + 1)
    prefix = header.string()
    added, single, pair = _header_tail(header, size)
    vocabulary = tuple(_tokens(size, lengths, suffixes))
    removed, spaces, punctuation, padded = (classes.points() for _ in range(4))
    tables = UnicodeTables(
        removed=removed,
        spaces=spaces,
        punctuation=punctuation,
        padded=padded,
        folds=decode_folds(folds),
        ranks=decode_ranks(ranks),
        decomposes_hangul=bool(flags & HANGUL_FLAG),
    )
    return WordPieceData(
        vocabulary=vocabulary,
        prefix=prefix,
        unknown_id=unknown_id,
        max_word_length=max_word_length,
        added=added,
        single=single,
        pair=pair,
        tables=tables,
    )


def decode_merges(
    header: Reader,
    ids: Reader,
    left: Reader,
    right: Reader,
    results: Reader,
    classes: Reader,
    normalizer: Reader | None = None,
) -> BytePairData:
    """A byte-level tokenizer from its streams."""
    flags, size = header.number(), header.number(MOST_TOKENS)
    added, single, pair = _header_tail(header, size)
    lefts, rights = _planes(left), _planes(right)
    makes: list[int] = []
    new = BYTES
    for pair_ in zip(lefts, rights, strict=True):
        result = new + signed(results.number())
        if max(*pair_, result - 1) >= new or result < BYTES:
            raise ValueError(f"a merge of {pair_} into {result}, where {new} symbols are known")
        makes.append(result)
        new = max(new, result + 1)
    numbers = running([signed(ids.number(2 * MOST_TOKENS)) + 1 for _ in range(new)])
    found = [number - 1 for number in numbers]
    if not 0 <= min(found) <= max(found) < size:
        raise ValueError(f"the id {max(found, key=abs)} of {size}")
    return BytePairData(
        size=size,
        prefix_space=bool(flags & PREFIX_SPACE),
        trim_offsets=bool(flags & TRIM_OFFSETS),
        trim_prefixed=bool(flags & TRIM_PREFIXED),
        ids=tuple(found),
        merges=tuple(zip(lefts, rights, strict=True)),
        results=tuple(makes),
        added=added,
        single=single,
        pair=pair,
        tables=_pattern_classes(classes),
        normalizer=() if normalizer is None else decode_steps(normalizer),
    )


def decode_pieces(
    header: Reader,
    lengths: Reader,
    suffixes: Reader,
    scores: Reader,
    classes: Reader,
    normalizer: Reader | None = None,
) -> UnigramData:
    """A Unigram tokenizer from its streams."""
    flags, size = header.number(), header.number(MOST_TOKENS)
    pieces = header.number(size + 1)
    unknown_id = header.number(pieces)
    splitting = tuple(_splitting(header) for _ in range(header.count(MOST_SPLITS + 1)))
    added, single, pair = _header_tail(header, size)
    wide = bool(flags & WIDE)
    width = 8 if wide else 4
    planes = [scores.take(pieces) for _ in range(width)]
    joined = b"".join(map(bytes, zip(*planes, strict=True)))
    found = struct.unpack(f"<{pieces}{'d' if wide else 'f'}", joined)
    if not all(map(isfinite, found)):
        raise ValueError("a score that is no finite number")
    return UnigramData(
        size=size,
        byte_fallback=bool(flags & BYTE_FALLBACK),
        trim_offsets=bool(flags & TRIM_OFFSETS),
        trim_prefixed=bool(flags & TRIM_PREFIXED),
        unknown_id=unknown_id,
        vocabulary=tuple(_tokens(pieces, lengths, suffixes)),
        scores=found,
        splitting=splitting,
        added=added,
        single=single,
        pair=pair,
        tables=WordClasses(*(classes.points() for _ in range(3))),
        normalizer=() if normalizer is None else decode_steps(normalizer),
    )


def _splitting(header: Reader) -> Splitting:
    kind = header.number(METASPACE + 1)
    if kind < SPLIT_SPACES:
        raise ValueError(f"a splitting of kind {kind}")
    if kind != METASPACE:
        return Splitting(kind)
    letter = header.string()
    return Splitting(kind, ord(letter), header.number(len(SCHEMES)), bool(header.number(2)))


def _pattern_classes(classes: Reader) -> PatternClasses:
    """Six range lists; the pattern's rules end with a space only where U+0020 is one, and nothing else."""
    found = PatternClasses(*(classes.points() for _ in range(6)))
    if SPACE not in found.gaps or SPACE in found.letters | found.numbers:
        raise ValueError("classes that take a space for something else")
    return found


def _planes(reader: Reader) -> list[int]:
    """Numbers of three bytes, all low bytes first."""
    count, rest = divmod(len(reader.data), PLANES)
    if rest or count > MOST_SYMBOLS:
        raise ValueError(f"{len(reader.data)} bytes, which are not three for each merge")
    planes = [reader.take(count) for _ in range(PLANES)]
    return [low | middle << 8 | high << 16 for low, middle, high in zip(*planes, strict=True)]


def _header_tail(header: Reader, size: int) -> tuple[tuple[AddedToken, ...], tuple[Piece, ...], tuple[Piece, ...]]:
    """Added tokens and the two templates."""
    added = tuple(_added_token(header, size) for _ in range(header.count()))
    single, pair = (tuple(_piece(header, size) for _ in range(header.count(MOST_PIECES + 1))) for _ in range(2))
    return added, single, pair


def _added_token(header: Reader, size: int) -> AddedToken:
    index, flags = header.number(size), header.number()
    content = header.string()
    if not content:
        raise ValueError("an added token without a character")
    return AddedToken(index, content, flags)


def _piece(header: Reader, size: int) -> Piece:
    kind = header.number(3)
    return Piece(kind, header.number(size if kind == SPECIAL else 1), header.number())


def _tokens(size: int, lengths: Reader, suffixes: Reader) -> Iterator[str]:
    """Front-coded tokens; their bytes are counted, since each may repeat 255 of the one before."""
    token, total = b"", 0
    for _ in range(size):
        shared = lengths.take(1)[0]
        token = token[:shared] + suffixes.take(lengths.number())
        total += len(token)
        if total > LARGEST_VOCABULARY:
            raise ValueError(f"tokens of more than {LARGEST_VOCABULARY:,} bytes")
        yield token.decode()


DECODE: dict[int, Callable[..., AssetData]] = {
    word_pieces.KIND: decode_word_pieces,
    byte_pairs.KIND: decode_merges,
    unigram.KIND: decode_pieces,
}
