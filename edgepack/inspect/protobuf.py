"""Protobuf's wire format, as far as an .aab needs it: a message as field number → values in order.

Format (protobuf.dev, Encoding): each field is a varint `number << 3 | wire type`, then a varint (0), eight bytes (1),
a length and that many bytes (2) or four bytes (5). A message inside a message is bytes to be read again. Groups (3, 4)
are refused: nothing in an .aab has them. Without the schema, the callers know the numbers, and say where from.
"""

from __future__ import annotations

from edgepack.errors import InputError

Fields = dict[int, list["int | bytes"]]
VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5
LONGEST_VARINT = 10


def parse_message(data: bytes) -> Fields:
    """All fields of a message; `InputError` where it is none."""
    fields: Fields = {}
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        value: int | bytes
        if tag & 7 == VARINT:
            value, at = _varint(data, at)
        else:
            length, at = _length(data, at, tag & 7)
            if length > len(data) - at:
                raise InputError(f"a protobuf of {len(data)} bytes ends inside field {tag >> 3}; build the app again")
            value = data[at : at + length]
            at += length
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def messages(fields: Fields, number: int) -> list[Fields]:
    """The messages in a repeated field."""
    return [parse_message(value) for value in fields.get(number, []) if isinstance(value, bytes)]


def strings(fields: Fields, number: int) -> list[str]:
    """The strings in a repeated field."""
    return [value.decode("utf-8", "replace") for value in fields.get(number, []) if isinstance(value, bytes)]


def last_string(fields: Fields, number: int) -> str:
    """A string field; the last one counts, none is empty."""
    return (strings(fields, number) or [""])[-1]


def last_number(fields: Fields, number: int) -> int | None:
    """An integer field; the last one counts."""
    found = [value for value in fields.get(number, []) if isinstance(value, int)]
    return found[-1] if found else None


def _length(data: bytes, at: int, wire_type: int) -> tuple[int, int]:
    if wire_type == BYTES:
        return _varint(data, at)
    if wire_type in (EIGHT_BYTES, FOUR_BYTES):
        return (8 if wire_type == EIGHT_BYTES else 4), at
    raise InputError(f"a protobuf of {len(data)} bytes has wire type {wire_type}; build the app again")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift, byte in enumerate(data[at : at + LONGEST_VARINT]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value, at + shift + 1
    raise InputError(f"a protobuf of {len(data)} bytes has a number without an end at {at}; build the app again")
