"""What a Parquet file's footer says of its columns' sizes, read here: pyarrow's own objects of it end the process.

Its Python face lets C++ exceptions of a damaged footer through, as of histograms whose lengths are wrong, and the
process aborts without a word. The footer is Thrift's compact protocol: before each field the step from the last
number and a type, integers as LEB128 varints, signed ones zigzag. Of the whole only these are looked at:

    FileMetaData.4 row groups: RowGroup.1 columns, .3 rows: ColumnChunk.3: ColumnMetaData.3 path, .6 unpacked bytes
"""

from __future__ import annotations

from typing import Any

from edgepack.bounded import ByteReader

MAGIC, TAIL = b"PAR1", 8  # the length of the footer as u32, and the magic
LONGEST = 10  # bytes of a number: 64 bits
DEEPEST = 32  # of structs and lists; Parquet's have 7
TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)


def column_bytes(data: bytes) -> tuple[dict[str, list[int]], int]:
    """Unpacked bytes of each column by row group, and the rows of the largest; `ValueError` for a broken footer."""
    length = int.from_bytes(data[-TAIL:-4], "little")
    if data[-4:] != MAGIC or length > len(data) - TAIL:
        raise ValueError("no footer at its end")
    reader = _Compact(data[len(data) - TAIL - length : -TAIL])
    found: dict[str, list[int]] = {}
    most = 0
    try:
        for group in reader.struct(0).get(4, ()):
            most = max(most, group[3])
            for chunk in group[1]:
                name = chunk[3][3][0].decode()
                found.setdefault(name, []).append(chunk[3][6])
    except (AttributeError, IndexError, KeyError, TypeError) as e:
        raise ValueError(f"a footer that is cut off or damaged ({type(e).__name__})") from e
    return found, most


class _Compact(ByteReader):
    """Takes values off the front of Thrift's compact protocol; structs become dictionaries by field number."""

    def struct(self, depth: int) -> dict[int, Any]:
        fields: dict[int, Any] = {}
        number = 0
        while (head := self.byte()) != 0:
            step, kind = head >> 4, head & 15
            number = number + step if step else self.signed()
            fields[number] = kind == TRUE if kind in (TRUE, FALSE) else self.value(kind, depth + 1)
        return fields

    def value(self, kind: int, depth: int) -> Any:
        if I16 <= kind <= I64:
            return self.signed()
        if kind == BINARY:
            return self.take(self.varint(LONGEST))
        if depth > DEEPEST:
            raise ValueError(f"a footer of more than {DEEPEST} levels")
        if kind == STRUCT:
            return self.struct(depth)
        if kind in (LIST, SET):
            return self.items(depth)
        if kind == MAP:
            return self.pairs(depth)
        if kind == DOUBLE:
            return self.take(8)
        if kind in (TRUE, FALSE, BYTE):
            return self.byte()
        raise ValueError(f"a footer with a value of kind {kind}")

    def items(self, depth: int) -> list[Any]:
        head = self.byte()
        count, kind = head >> 4, head & 15
        if count == 15:
            count = self.varint(LONGEST)
        self.check(count)
        return [self.value(kind, depth + 1) for _ in range(count)]

    def pairs(self, depth: int) -> list[tuple[Any, Any]]:
        count = self.varint(LONGEST)
        self.check(count)
        kinds = self.byte() if count else 0
        return [(self.value(kinds >> 4, depth + 1), self.value(kinds & 15, depth + 1)) for _ in range(count)]

    def check(self, count: int) -> None:
        if count > len(self.data) - self.at:
            raise ValueError(f"a footer with {count:,} items in {len(self.data) - self.at:,} bytes")

    def signed(self) -> int:
        number = self.varint(LONGEST)
        return number >> 1 ^ -(number & 1)
