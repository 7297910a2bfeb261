"""A protobuf message without its schema, as far as app bundles and ONNX files need it: field number → values in order.

The protobuf library reads the wire format: to an empty message every field is an unknown one, which its
`UnknownFieldSet` lists. A message inside a message is bytes to be read again. Groups are left out: neither format
has them. The callers know the numbers, and say where from.
"""

from __future__ import annotations

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from edgepack.errors import InputError

Fields = dict[int, list["int | bytes"]]


def parse_message(data: bytes) -> Fields:
    """All fields of a message; `InputError` where it is none."""
    message = Empty()
    try:
        message.ParseFromString(data)
        unknown = list(UnknownFieldSet(message))
    except (DecodeError, RuntimeError) as e:
        raise InputError(f"a protobuf of {len(data)} bytes does not read: {e}; make the file again") from e
    fields: Fields = {}
    for field in unknown:
        if isinstance(field.data, int | bytes):
            fields.setdefault(field.field_number, []).append(field.data)
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
