"""Bytes of a TorchScript artifact, from the config alone, to the byte.

A `.ptl` file is a zip of stored records: five flat tensors whose sizes `export/torchscript_layout.py` gives, the
state's pickle, and a program that is the same for every student. The pickle grows only with its integers, 2, 3 or
5 bytes each (`BININT1`, `BININT2`, `BININT`), and with the element types of the tensors. What cannot be derived,
the deflated program and the pickle's fixed text, is measured once and written down below; the tests compare it
with real files, so a new program or a new torch shows there, with the figure to write instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from edgepack.export.torchscript_layout import Layout, embedder_options, layout, wide_options, wide_tensor
from edgepack.plan.model_size import ModelSize
from edgepack.student.config import StudentConfig
from edgepack.target import Target
from edgepack.task.similarity import EMBEDS

PROGRAM_BYTES = 5423  # bytecode.pkl, deflated
PICKLE_BYTES = 887  # data.pkl of an encoder without integers and storage types
MODEL_PICKLE_BYTES = 129  # what holds it
EMBEDDER_PROGRAM_BYTES = 5925  # the same of a student that gives vectors
EMBEDDER_PICKLE_BYTES = 194  # what its state has besides, without integers
WIDE_PROGRAM_BYTES = 5702  # of a student with a table beside its encoder
WIDE_PICKLE_BYTES = 220
RECORDS = {"constants.pkl": 4, ".data/version": 3}
FOLDER_CHARACTERS = 2  # "m/" before every record's name
ENTRY_BYTES = 30 + 46  # a zip entry's local and central headers, names apart; each holds the name
END_BYTES = 22
ELEMENT_BYTES = {"float32": 4, "int8": 1, "uint8": 1}
STORAGES = {"float32": "FloatStorage", "int8": "CharStorage", "uint8": "ByteStorage"}
NAMES = (
    "body weights",
    "scales, biases and norms",
    "word embeddings",
    "position embeddings",
    "relative buckets",
    "wide table",
)


def model_bytes(config: StudentConfig, _: Target | None = None) -> ModelSize:
    """The file that `export_torchscript` would write for a student of this shape and these bit widths."""
    shape, kind = layout(config), _kind(config)
    held = shape.tensors() + ([wide_tensor(config)] if config.wide_rows else [])
    tensors = [ELEMENT_BYTES[element] * prod(size) for element, size in held]
    pickled = PICKLE_BYTES + kind.pickle_bytes + _pickle_bytes(shape, held, kind.options)
    records = {f"data/{i}": count for i, count in enumerate(tensors)} | RECORDS
    records |= {"data.pkl": pickled, "bytecode.pkl": kind.program_bytes}
    headers = sum(ENTRY_BYTES + 2 * (FOLDER_CHARACTERS + len(name)) for name in records)
    names = NAMES[: len(tensors)]
    return ModelSize(headers + sum(records.values()) + END_BYTES, tuple(zip(names, tensors, strict=True)))


@dataclass(frozen=True)
class _Kind:
    """A program: its bytes, and those that its state has besides the encoder's, but for `options`."""

    program_bytes: int
    pickle_bytes: int = 0
    options: Mapping[str, int] = field(default_factory=dict)


def _kind(config: StudentConfig) -> _Kind:
    """The program that a student of this config has."""
    if config.task == EMBEDS:
        return _Kind(EMBEDDER_PROGRAM_BYTES, EMBEDDER_PICKLE_BYTES, embedder_options(config))
    if config.wide_rows:
        return _Kind(WIDE_PROGRAM_BYTES, WIDE_PICKLE_BYTES, wide_options(config))
    return _Kind(PROGRAM_BYTES, MODEL_PICKLE_BYTES)


def _pickle_bytes(shape: Layout, held: Sequence[tuple[str, tuple[int, ...]]], options: Mapping[str, int]) -> int:
    """Bytes of the state's integers and storage types."""
    integers = [*shape.options.values(), *(number for numbers in shape.lists.values() for number in numbers)]
    integers += options.values()
    seen: set[str] = set()
    types = 0
    for element, size in held:
        integers += [prod(size), *size, *((size[1], 1) if len(size) == 2 else (1,))]  # count, shape, strides
        # a type is spelt out once, "ctorch\nFloatStorage\nq" and its number, then referred to by "h" and the number
        types += 2 if element in seen else len(f"ctorch\n{STORAGES[element]}\nq") + 1
        seen.add(element)
    return types + sum(map(_integer_bytes, integers))


def _integer_bytes(value: int) -> int:
    """Bytes of a pickled integer: opcode and one, two or four bytes."""
    if not -(2**31) <= value < 2**31:
        return 10  # LONG1, its length, eight bytes
    if 0 <= value < 256:
        return 2
    return 3 if 0 <= value < 65536 else 5
