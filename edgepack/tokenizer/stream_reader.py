"""Numbers, strings and tables off the front of a stream; every number has a bound before anything is made of it."""

from __future__ import annotations

from edgepack.bounded import ByteReader
from edgepack.tokenizer.unicode_tables import CODE_POINTS

LONGEST_VARINT = 9  # bytes: 63 bits
LONGEST_FOLD = 64  # code points that one becomes; Unicode's longest has 18


class Reader(ByteReader):
    """Takes numbers, strings and tables off the front of a stream."""

    def number(self, limit: int = 2**63) -> int:
        """The next varint, which must be below `limit`."""
        value = self.varint(LONGEST_VARINT)
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


def decode_folds(reader: Reader) -> dict[int, tuple[int, ...]]:
    """Code point → code points."""
    sources = code_points(reader.numbers(reader.count()))
    lengths = reader.numbers(len(sources), LONGEST_FOLD + 1)
    targets = iter(code_points([signed(number) for number in reader.numbers(sum(lengths))]))
    return {source: tuple(next(targets) for _ in range(n)) for source, n in zip(sources, lengths, strict=True)}


def code_points(differences: list[int]) -> list[int]:
    """Code points from the steps between them."""
    found = running(differences)
    if found and not 0 <= min(found) <= max(found) < CODE_POINTS:
        raise ValueError(f"the code point {max(found, key=abs)}")
    return found


def decode_ranks(reader: Reader) -> dict[int, int]:
    """Mark → rank."""
    marks = code_points(reader.numbers(reader.count()))
    return dict(zip(marks, reader.numbers(len(marks)), strict=True))


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
