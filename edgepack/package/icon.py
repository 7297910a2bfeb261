"""The app's icon: a PNG of the user's that goes into the project as it is.

Nothing here draws, resizes or removes transparency, which would need a library of images. So the file is taken only if
the app can use it as it is: its header says how large it is, and whether a pixel may be transparent (W3C, Portable
Network Graphics, sections 11.2.1 and 11.3.1.1). The pixels themselves are not read: Android Studio and Xcode do that.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from edgepack.errors import InputError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHUNK = struct.Struct(">I4s")  # how many bytes of content, and of which kind; a checksum of 4 bytes follows them
HEADER = struct.Struct(">II5B")  # width, height, bits, colour type, compression, filter, interlacing
GREY_ALPHA, COLOUR_ALPHA = 4, 6  # the colour types with a value of transparency for each pixel


@dataclass(frozen=True)
class Icon:
    """A PNG file's bytes, its size in pixels, and whether a pixel may be transparent."""

    data: bytes
    width: int
    height: int
    has_alpha: bool


def read_icon(path: Path, smallest: int, largest: int) -> Icon:
    """The icon at `path`, square and within these sizes in pixels; `InputError` where it is not."""
    try:
        data = path.read_bytes()
    except OSError as e:
        raise InputError(f"icon {path} cannot be read: {e.strerror}; give a PNG file") from e
    icon = parse_icon(data)
    allowed = f"{smallest} x {smallest}" + (f" to {largest} x {largest}" if largest > smallest else "")
    if icon is None:
        raise InputError(f"icon {path} is no whole PNG file; give one of {allowed} pixels")
    if icon.width != icon.height or not smallest <= icon.width <= largest:
        raise InputError(
            f"icon {path} has {icon.width} x {icon.height} pixels; allowed: {allowed}; export it in that size"
        )
    return icon


def parse_icon(data: bytes) -> Icon | None:
    """What a PNG's chunks say; None where they are not those of a whole PNG."""
    if not data.startswith(SIGNATURE):
        return None
    kinds, header, at = set[bytes](), b"", len(SIGNATURE)
    while b"IEND" not in kinds:
        if at + CHUNK.size > len(data):
            return None
        length, kind = CHUNK.unpack_from(data, at)
        content = data[at + CHUNK.size : at + CHUNK.size + length]
        header = header or content  # the first chunk's
        if not kinds and (kind != b"IHDR" or len(content) != HEADER.size):
            return None
        kinds.add(kind)
        at += CHUNK.size + length + 4
    if at > len(data) or b"IDAT" not in kinds:
        return None
    width, height, _, colour_type, *_ = HEADER.unpack(header)
    return Icon(data, width, height, colour_type in (GREY_ALPHA, COLOUR_ALPHA) or b"tRNS" in kinds)
