"""Where a native library's segments want to be loaded: its ELF program headers.

Format (System V ABI): 16 bytes of identity (magic, 1 or 2 for 32 or 64 bits, 1 for little-endian), then the header,
which says where the program headers are; a header of type 1 (LOAD) has an offset, an address and an alignment. Android
maps LOAD segments page by page, so on a device with pages of 16 KB an alignment of 4 KB cannot be kept, and since
November 2025 Google Play refuses new apps whose 64-bit libraries ask for less (developer.android.com, "Support 16 KB
page sizes").
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

MAGIC = b"\x7fELF"
LOAD = 1


@dataclass(frozen=True)
class LoadSegment:
    """One LOAD segment: where it is in the file, where in memory, and the alignment of both."""

    offset: int
    address: int
    alignment: int

    def fits(self, page_bytes: int) -> bool:
        """Whether it can be mapped on a device with pages of this size."""
        return self.alignment % page_bytes == 0 and (self.offset - self.address) % page_bytes == 0


def load_segments(data: bytes) -> list[LoadSegment]:
    """The LOAD segments of a little-endian ELF file; `ValueError` where it is none."""
    if data[:4] != MAGIC or data[4:5] not in (b"\x01", b"\x02") or data[5:6] != b"\x01":
        raise ValueError("is no little-endian ELF file")
    bits64 = data[4] == 2
    try:
        place, size, count = _program_headers(data, bits64)
        if place + size * count > len(data):
            raise struct.error(f"program headers at {place}")
        headers = [_segment(data, place + index * size, bits64) for index in range(count)]
    except struct.error as e:
        raise ValueError("is an ELF file that ends inside its program headers") from e
    return [segment for segment in headers if segment is not None]


def _program_headers(data: bytes, bits64: bool) -> tuple[int, int, int]:
    """Offset, size of one, count."""
    if bits64:
        (place,), (size, count) = struct.unpack_from("<Q", data, 32), struct.unpack_from("<HH", data, 54)
    else:
        (place,), (size, count) = struct.unpack_from("<I", data, 28), struct.unpack_from("<HH", data, 42)
    return place, size, count


def _segment(data: bytes, at: int, bits64: bool) -> LoadSegment | None:
    if bits64:
        kind, _, offset, address, _, _, _, alignment = struct.unpack_from("<IIQQQQQQ", data, at)
    else:
        kind, offset, address, _, _, _, _, alignment = struct.unpack_from("<8I", data, at)
    return LoadSegment(offset, address, alignment) if kind == LOAD else None
