"""Android's binary XML, as it stands in an .apk: a small reader that gives elements and attributes.

Format (AOSP, libs/androidfw/include/androidfw/ResourceTypes.h): chunks of `u16 type, u16 header size, u32 size`, all
little-endian, inside one chunk of type 3:

    0x0001 string pool     u32 strings, styles, flags (0x100: UTF-8), start of strings, start of styles; u32 offsets
    0x0180 resource map    u32 ids: that of the attribute whose name is string i
    0x0102 start element   line, comment; u32 namespace, name; u16 start, size, count of attributes; 3 × u16
           attribute       u32 namespace, name, raw value; u16 size, u8 0, u8 type, u32 data
    0x0103 end element

A string is its length, twice in UTF-8 (characters, bytes), each in one unit or, if its high bit is set, in two. Not
read: text, namespaces, styles, comments. References (`@string/x`) come out as `@0x7f…`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edgepack.errors import InputError
from edgepack.inspect.element import ATTRIBUTE_NAMES, MAX_DEPTH, Element

DOCUMENT, STRING_POOL, RESOURCE_MAP, START_ELEMENT, END_ELEMENT = 0x0003, 0x0001, 0x0180, 0x0102, 0x0103
UTF8_FLAG = 0x100
NONE = 0xFFFFFFFF
STRING, BOOLEAN, REFERENCE = 0x03, 0x12, 0x01
CHUNK_HEADER = struct.Struct("<HHI")
POOL_HEADER = struct.Struct("<5I")
ELEMENT_BODY = struct.Struct("<IIHHH")
ATTRIBUTE = struct.Struct("<IIIHBBI")


@dataclass(frozen=True)
class Chunk:
    """One chunk of a document: its header and body lie at `start`, its body without the header at `body`."""

    kind: int
    start: int
    body: int
    end: int


def parse_axml(data: bytes) -> Element:
    """The root element of a binary XML document; `InputError` where it is none or damaged."""
    try:
        return _parse(data)
    except (struct.error, IndexError, UnicodeDecodeError) as e:
        raise InputError(f"AndroidManifest.xml of {len(data)} bytes is damaged ({e}); build the app again") from e


def _parse(data: bytes) -> Element:
    kind, header_bytes, size = CHUNK_HEADER.unpack_from(data)
    if kind != DOCUMENT or size > len(data):
        raise InputError("AndroidManifest.xml is not Android's binary XML; give the .apk that the build made")
    strings: list[str] = []
    resource_ids: tuple[int, ...] = ()
    root, open_elements = None, [Element("")]
    for chunk in _chunks(data, header_bytes, size):
        if chunk.kind == STRING_POOL:
            strings = _strings(data, chunk)
        elif chunk.kind == RESOURCE_MAP:
            resource_ids = struct.unpack_from(f"<{(chunk.end - chunk.body) // 4}I", data, chunk.body)
        elif chunk.kind == START_ELEMENT:
            element = _element(data, chunk, strings, resource_ids)
            open_elements[-1].children.append(element)
            open_elements.append(element)
            if len(open_elements) > MAX_DEPTH:
                raise IndexError(f"elements nest more than {MAX_DEPTH} deep")
            root = root or element
        elif chunk.kind == END_ELEMENT:
            open_elements.pop()
    if root is None:
        raise InputError("AndroidManifest.xml has no element; build the app again")
    return root


def _chunks(data: bytes, start: int, end: int) -> Iterator[Chunk]:
    while start < end:
        kind, header_bytes, size = CHUNK_HEADER.unpack_from(data, start)
        if not CHUNK_HEADER.size <= header_bytes <= size <= end - start:
            raise IndexError(f"chunk of {size} bytes at {start}")
        yield Chunk(kind, start, start + header_bytes, start + size)
        start += size


def _strings(data: bytes, chunk: Chunk) -> list[str]:
    """All strings of a pool; those that share bytes are damage, since a few megabytes would become gigabytes."""
    count, _, flags, strings_start, _ = POOL_HEADER.unpack_from(data, chunk.start + CHUNK_HEADER.size)
    if chunk.body + 4 * count > chunk.end:
        raise IndexError(f"{count} strings in a pool of {chunk.end - chunk.start} bytes")
    read: Callable[[bytes, int], str] = _utf8 if flags & UTF8_FLAG else _utf16
    found, characters = [], 0
    for offset in struct.unpack_from(f"<{count}I", data, chunk.body):
        found.append(read(data, chunk.start + strings_start + offset))
        characters += len(found[-1])
        if characters > chunk.end - chunk.start:
            raise IndexError(f"strings that overlap in a pool of {chunk.end - chunk.start} bytes")
    return found


def _utf8(data: bytes, at: int) -> str:
    at += 2 if data[at] & 0x80 else 1  # the count of characters
    length = data[at]
    at += 1
    if length & 0x80:
        length = (length & 0x7F) << 8 | data[at]
        at += 1
    # aapt2 writes a code point above 0xFFFF as two surrogates of three bytes each
    halves = data[at : at + length].decode("utf-8", "surrogatepass")
    return halves.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _utf16(data: bytes, at: int) -> str:
    (length,) = struct.unpack_from("<H", data, at)
    at += 2
    if length & 0x8000:
        length = (length & 0x7FFF) << 16 | struct.unpack_from("<H", data, at)[0]
        at += 2
    return data[at : at + 2 * length].decode("utf-16-le", "replace")


def _element(data: bytes, chunk: Chunk, strings: list[str], resource_ids: tuple[int, ...]) -> Element:
    _, name, start, size, count = ELEMENT_BODY.unpack_from(data, chunk.body)
    attributes = {}
    if chunk.body + start + count * size > chunk.end or (count and size < ATTRIBUTE.size):
        raise IndexError(f"{count} attributes of {size} bytes in an element of {chunk.end - chunk.start}")
    for index in range(count):
        _, key, raw, _, _, kind, value = ATTRIBUTE.unpack_from(data, chunk.body + start + index * size)
        resource_id = resource_ids[key] if key < len(resource_ids) else 0
        attributes[ATTRIBUTE_NAMES.get(resource_id, strings[key])] = _value(kind, value, raw, strings)
    return Element(strings[name], attributes)


def _value(kind: int, value: int, raw: int, strings: list[str]) -> str:
    if kind == STRING:
        return strings[value]
    if kind == BOOLEAN:
        return "true" if value else "false"
    if kind == REFERENCE:
        return f"@{value:#x}"
    return strings[raw] if raw != NONE else str(value)
