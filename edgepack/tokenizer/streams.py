"""What a `tokenizer.bin` says, out of its bytes; every number has a bound before anything is made of it.

A bundle may come from anywhere: a kilobyte of zlib can unpack to a megabyte, a range can span 2^40 code points, a token
can share 255 bytes with each of a million before it. Whatever is beyond what a writer could mean is damage.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from edgepack.errors import InputError
from edgepack.tokenizer.asset import BYTE_PAIR_VERSION, MAGIC, WORD_PIECE_VERSION, AssetData
from edgepack.tokenizer.asset_parts import MOST_PIECES, SPECIAL, AddedToken, Piece
from edgepack.tokenizer.byte_pairs import (
    BYTES,
    KIND,
    MOST_SYMBOLS,
    PLANES,
    PREFIX_SPACE,
    TRIM_OFFSETS,
    TRIM_PREFIXED,
    BytePairData,
    PatternClasses,
)
from edgepack.tokenizer.unicode_tables import CODE_POINTS, UnicodeTables
from edgepack.tokenizer.word_pieces import HANGUL_FLAG, LONGEST_WORD, WordPieceData

STREAMS = 6
LARGEST_STREAM = 16 << 20  # bytes unpacked; the suffixes of 250,000 tokens take 2 MB
MOST_TOKENS, LARGEST_VOCABULARY = 2_000_000, 64 << 20  # and the bytes of all of them together
LONGEST_VARINT = 9  # bytes: 63 bits
LONGEST_FOLD = 64  # code points that one becomes; Unicode's longest has 18


def read_asset(data: bytes) -> AssetData:
    """The content of a `tokenizer.bin`; `InputError` where it is none or damaged."""
    version = data[4] if len(data) > 4 else 0
    if data[:4] != MAGIC or version not in (WORD_PIECE_VERSION, BYTE_PAIR_VERSION):
        known = f"{MAGIC!r} and the version {WORD_PIECE_VERSION} or {BYTE_PAIR_VERSION}"
        raise InputError(f"tokenizer asset starts with {data[:5]!r}, not {known}; bundle again")
    try:
        decode = decode_word_pieces if version == WORD_PIECE_VERSION else decode_merges
        return decode(*(Reader(stream) for stream in _unpacked(data)))
    except (zlib.error, struct.error, IndexError, TypeError, ValueError) as e:  # UnicodeDecodeError is a ValueError
        raise InputError(f"tokenizer asset of {len(data)} bytes is damaged ({e}); bundle again") from e


def _unpacked(data: bytes) -> Iterator[bytes]:
    at = 5
    for _ in range(STREAMS):
        (size,) = struct.unpack_from("<I", data, at)
        stream = zlib.decompressobj()
        unpacked = stream.decompress(data[at + 4 : at + 4 + size], LARGEST_STREAM)
        if not stream.eof:
            raise ValueError(f"a stream is cut off or unpacks to more than {LARGEST_STREAM:,} bytes")
        yield unpacked
        at += 4 + size
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes stand behind its {STREAMS} streams")


class Reader:
    """Takes numbers and strings off the front of a stream."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        if count > len(self.data) - self.at:
            raise ValueError(f"{count} bytes are taken from a stream that has {len(self.data) - self.at} left")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, limit: int = 2**63) -> int:
        """The next varint, which must be below `limit`."""
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift >= 7 * LONGEST_VARINT:
                raise ValueError(f"a number of more than {LONGEST_VARINT} bytes")
        if value >= limit:
            raise ValueError(f"the number {value}, where less than {limit} is allowed")
        return value

    def count(self, limit: int = 2**63) -> int:
        """The next varint as a count of things in this stream, of which each takes a byte at least."""
        return self.number(min(limit, len(self.data) - self.at + 1))

    def numbers(self, count: int, limit: int = 2**63) -> list[int]:
        """The next varints."""
        if count > len(self.data) - self.at:
            raise ValueError(f"{count} numbers in a stream that has {len(self.data) - self.at} bytes left")
        return [self.number(limit) for _ in range(count)]

    def string(self) -> str:
        """The next string."""
        return self.take(self.count()).decode()

    def points(self) -> frozenset[int]:
        """The next range list."""
        points: set[int] = set()
        end = 0
        for _ in range(self.count()):
            start, length = end + self.number(), self.number()
            end = start + length
            if end > CODE_POINTS:
                raise ValueError(f"a range that ends at code point {end}")
            points.update(range(start, end))
        return frozenset(points)


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
    marks = _points(ranks.numbers(ranks.count()))
    tables = UnicodeTables(
        removed=removed,
        spaces=spaces,
        punctuation=punctuation,
        padded=padded,
        folds=decode_folds(folds),
        ranks=dict(zip(marks, ranks.numbers(len(marks)), strict=True)),
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
    header: Reader, ids: Reader, left: Reader, right: Reader, results: Reader, classes: Reader
) -> BytePairData:
    """A byte-level tokenizer from its six streams."""
    kind, flags, size = header.number(), header.number(), header.number(MOST_TOKENS)
    if kind != KIND:
        raise ValueError(f"a tokenizer of kind {kind}")
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
        tables=PatternClasses(*(classes.points() for _ in range(6))),
    )


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


def decode_folds(reader: Reader) -> dict[int, tuple[int, ...]]:
    """Code point → code points."""
    sources = _points(reader.numbers(reader.count()))
    lengths = reader.numbers(len(sources), LONGEST_FOLD + 1)
    targets = iter(_points([signed(number) for number in reader.numbers(sum(lengths))]))
    return {source: tuple(next(targets) for _ in range(n)) for source, n in zip(sources, lengths, strict=True)}


def _points(differences: list[int]) -> list[int]:
    """Code points from the steps between them."""
    found = running(differences)
    if found and not 0 <= min(found) <= max(found) < CODE_POINTS:
        raise ValueError(f"the code point {max(found, key=abs)}")
    return found


def signed(number: int) -> int:
    """0, 1, 2, 3 … as 0, −1, 1, −2 …"""
    return number >> 1 if number & 1 == 0 else -(number >> 1) - 1


def running(differences: list[int]) -> list[int]:
    """Running sums."""
    total, out = 0, []
    for difference in differences:
        total += difference
        out.append(total)
    return out
