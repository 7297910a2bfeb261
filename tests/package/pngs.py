"""PNG files for tests, and the one that a packaged iOS app has as its icon until the user gives one.

python -m tests.package.pngs     # writes the template's icon
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

ICON = Path(__file__).parents[2] / "sample_apps/ios/Sample/Assets.xcassets/AppIcon.appiconset/icon.png"
SIZE = 1024
BACKGROUND, BAR = b"\x1f\x4e\x5f", b"\xff\xff\xff"
BARS = ((34, 36, 40), (34, 50, 28), (34, 64, 16))  # left, top, width of 108, as in Android's drawing; 8 high
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk with its length and checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(rows: list[bytes], colour_type: int = 2, *extra: bytes) -> bytes:
    """A PNG of 8 bits a channel; `extra`: chunks before the pixels."""
    width = len(rows[0]) // CHANNELS[colour_type]
    header = chunk(b"IHDR", struct.pack(">II5B", width, len(rows), 8, colour_type, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows), 9))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + pixels + chunk(b"IEND", b"")


def plain(width: int, height: int, colour_type: int = 2, *extra: bytes) -> bytes:
    """A PNG of one colour."""
    return png([bytes(width * CHANNELS[colour_type])] * height, colour_type, *extra)


def icon_rows() -> list[bytes]:
    """The template's icon: Android's drawing, its middle 72 of 108 parts, in red, green and blue."""
    rows = [bytearray(BACKGROUND * SIZE) for _ in range(SIZE)]
    for left, top, width in BARS:
        start, end = scaled(left), scaled(left + width)
        for y in range(scaled(top), scaled(top + 8)):
            rows[y][3 * start : 3 * end] = BAR * (end - start)
    return [bytes(row) for row in rows]


def scaled(part: int) -> int:
    """Where a part of 108 is in the icon, in pixels."""
    return round((part - 18) * SIZE / 72)


if __name__ == "__main__":
    ICON.write_bytes(png(icon_rows()))
