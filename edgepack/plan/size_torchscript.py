"""Bytes of a TorchScript artifact, from the config alone, to the byte.

A `.ptl` file is a zip of stored records: five flat tensors whose sizes `export/torchscript_layout.py` gives, the
state's pickle, and a program that is the same for every student. The pickle grows only with its integers, 2, 3 or
5 bytes each (`BININT1`, `BININT2`, `BININT`), and with the element types of the tensors. What cannot be derived,
the deflated program and the pickle's fixed text, is measured once and written down below; the tests compare it
with real files, so a new program or a new torch shows there, with the figure to write instead.
"""

from __future__ import annotations

from math import prod

from edgepack.export.torchscript_layout import Layout, embedder_options, layout
from edgepack.plan.model_size import ModelSize
from edgepack.student.config import StudentConfig
from edgepack.target import Target
from edgepack.task.similarity import EMBEDS

PROGRAM_BYTES = 8154  # bytecode.pkl, deflated
PICKLE_BYTES = 858  # data.pkl without integers and storage types
EMBEDDER_PROGRAM_BYTES = 5311  # the same of a student that gives vectors
EMBEDDER_PICKLE_BYTES = 194  # what its state has besides, without integers
RECORDS = {"constants.pkl": 4, ".data/version": 3}
FOLDER_CHARACTERS = 2  # "m/" before every record's name
ENTRY_BYTES = 30 + 46  # a zip entry's local and central headers, names apart; each holds the name
END_BYTES = 22
ELEMENT_BYTES = {"float32": 4, "int8": 1, "uint8": 1}
STORAGES = {"float32": "FloatStorage", "int8": "CharStorage", "uint8": "ByteStorage"}
NAMES = ("body weights", "scales, biases and norms", "word embeddings", "position embeddings", "relative buckets")


def model_bytes(config: StudentConfig, _: Target | None = None) -> ModelSize:
    """The file that `export_torchscript` would write for a student of this shape and these bit widths."""
    shape = layout(config)
    tensors = [ELEMENT_BYTES[element] * prod(size) for element, size in shape.tensors()]
    program, pickled = PROGRAM_BYTES, _pickle_bytes(shape)
    if config.task == EMBEDS:
        program = EMBEDDER_PROGRAM_BYTES
        pickled += EMBEDDER_PICKLE_BYTES + sum(map(_integer_bytes, embedder_options(config).values()))
    records = {f"data/{i}": count for i, count in enumerate(tensors)} | RECORDS
    records |= {"data.pkl": pickled, "bytecode.pkl": program}
    headers = sum(ENTRY_BYTES + 2 * (FOLDER_CHARACTERS + len(name)) for name in records)
    return ModelSize(headers + sum(records.values()) + END_BYTES, tuple(zip(NAMES, tensors, strict=True)))


def _pickle_bytes(shape: Layout) -> int:
    integers = [*shape.options.values(), *(number for numbers in shape.lists.values() for number in numbers)]
    seen: set[str] = set()
    types = 0
    for element, size in shape.tensors():
        integers += [prod(size), *size, *((size[1], 1) if len(size) == 2 else (1,))]  # count, shape, strides
        # a type is spelt out once, "ctorch\nFloatStorage\nq" and its number, then referred to by "h" and the number
        types += 2 if element in seen else len(f"ctorch\n{STORAGES[element]}\nq") + 1
        seen.add(element)
    return PICKLE_BYTES + types + sum(map(_integer_bytes, integers))


def _integer_bytes(value: int) -> int:
    """Bytes of a pickled integer: opcode and one, two or four bytes."""
    if not -(2**31) <= value < 2**31:
        return 10  # LONG1, its length, eight bytes
    if 0 <= value < 256:
        return 2
    return 3 if 0 <= value < 65536 else 5
