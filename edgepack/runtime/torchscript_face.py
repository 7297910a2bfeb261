"""A TorchScript artifact's face, from its zip: no torch, and nothing of the file is run.

`data.pkl` and `bytecode.pkl` are pickles. They are read by Python's own unpickler in pure Python, which here knows the
few constructors that torch writes and refuses every other name. What the options and lists mean:
`export/torchscript_program.py`; a row of a rounded table ends in its scale and minimum.
"""

from __future__ import annotations

import io
import pickle
import zipfile
import zlib
from collections import Counter, OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.errors import InputError, bare, first_line
from edgepack.runtime.face import Face, TensorFace
from edgepack.target import Target
from edgepack.task.similarity import VECTOR_NAME

MOST_BYTES = 1_000_000  # of a pickle; a program has 32 kB, the state of a student of 24 layers 6 kB
PROGRAMS = ("MobileEncoder", "MobileModel", "MobileEmbedder", "MobileWide")  # the first alone in older files
NAMES = ("integers", "floats", "words", "positions", "buckets")  # an encoder's tensors, in the order of its state
TABLES = ("words", "positions", "wide table")
RECORDS = ("data.pkl", "constants.pkl", "bytecode.pkl", ".data/version", "version")  # beside the tensors' own
HEADER_BYTES, ENTRY_BYTES, END_BYTES = 30, 46, 22  # of a zip: before a record, in its list of names, at its end
DTYPES = {"FloatStorage": "<f4", "CharStorage": "i1", "ByteStorage": "u1"}
TAILS = {8: ("<f4", 8), 4: ("<f2", 4)}  # by bits of a table: type and bytes of the scale and minimum behind a row


@dataclass(frozen=True)
class Stored:
    """A tensor in the archive: its record and type."""

    record: str
    dtype: str
    shape: tuple[int, ...] = ()


def read(path: Path, target: Target) -> Face:
    """Read the `.ptl` file at `path`."""
    try:
        with zipfile.ZipFile(path) as archive:
            state = load_pickle(archive, "data.pkl")
            holder = state if isinstance(state, dict) else {}  # of an encoder, whose own state is not by name
            state = holder["encoder"].state if holder else state
            table = holder.get("table")
            embeds = "options" in holder and table is None
            program = load_pickle(archive, "bytecode.pkl")
            options, lists = state[0], state[1]
            tensors = dict(zip(NAMES, state[3:], strict=True)) | ({} if table is None else {"wide table": table})
            faults = [*weight_faults(archive, tensors, options), *archive_faults(archive, tensors)]
            given = vectors(lists) if embeds else outputs(options, lists)
            return Face(inputs(options), given, used_operators(program), faults=tuple(faults))
    except InputError:
        raise
    except (
        zipfile.BadZipFile, zlib.error, pickle.UnpicklingError, OSError, EOFError, RuntimeError, NotImplementedError,
        ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError,
    ) as e:  # fmt: skip
        raise InputError(f"{bare(str(path), 200)}: is no TorchScript artifact of edgepack: {first_line(e)}") from e


class Restricted(pickle._Unpickler):
    """An unpickler of plain values, and of what torch writes in a module's state."""

    def find_class(self, module: str, name: str) -> Any:
        found = CONSTRUCTORS.get((module, name))
        if found is None and (module, name[-7:]) == ("torch", "Storage"):
            found = name
        if found is None and module.startswith("__torch__.") and name in PROGRAMS:
            found = State
        if found is None:
            raise pickle.UnpicklingError(f"it names {bare(module)}.{bare(name)}")
        return found

    def persistent_load(self, pid: Any) -> Stored:
        return Stored(record=f"data/{pid[2]}", dtype=DTYPES[pid[1]])


class State:
    """The module; its state is what `__getstate__` of the program gives."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def rebuilt(storage: Stored, offset: int, shape: tuple[int, ...], *_: Any) -> Stored:
    """`torch._utils._rebuild_tensor_v2` of a tensor that is its storage."""
    if offset:
        raise pickle.UnpicklingError("a tensor begins inside its storage")
    return Stored(storage.record, storage.dtype, shape)


CONSTRUCTORS: dict[tuple[str, str], Any] = {
    ("torch.jit._pickle", "restore_type_tag"): lambda value, tag: value,
    ("torch.jit._pickle", "build_intlist"): lambda values: values,
    ("torch._utils", "_rebuild_tensor_v2"): rebuilt,
    ("collections", "OrderedDict"): OrderedDict,
}


def read_record(archive: zipfile.ZipFile, name: str, most: int | None = None) -> bytes:
    """A record of the archive's one folder."""
    folders = {entry.filename.partition("/")[0] for entry in archive.infolist()}
    if len(folders) != 1:
        raise InputError(f"the model has records in {len(folders)} folders, not in one; export it again")
    info = archive.getinfo(f"{folders.pop()}/{name}")
    if info.file_size > (most if most is not None else archive.fp.seek(0, io.SEEK_END)):  # type: ignore[union-attr]
        raise InputError(f"the model's {bare(name)} unpacks to {info.file_size:,} bytes; export it again")
    return archive.read(info)


def archive_faults(archive: zipfile.ZipFile, tensors: dict[str, Stored]) -> list[str]:
    """What the archive holds beside the records that the lite interpreter reads; an app would ship it."""
    known = {*RECORDS, *(tensor.record for tensor in tensors.values())}
    others = [entry.filename for entry in archive.infolist() if entry.filename.partition("/")[2] not in known]
    faults = [f"it holds {bare(name)}, which edgepack does not write" for name in others]
    counts = Counter(entry.filename for entry in archive.infolist())
    faults += [f"it holds {bare(name)} {count} times" for name, count in counts.items() if count > 1]
    records = sum(HEADER_BYTES + len(entry.filename.encode()) + entry.compress_size for entry in archive.infolist())
    names = sum(ENTRY_BYTES + len(entry.filename.encode()) for entry in archive.infolist())
    beside = archive.fp.seek(0, io.SEEK_END) - records - names - END_BYTES  # type: ignore[union-attr]
    return faults + ([f"{beside} of its bytes are in no record"] if beside else [])


def load_pickle(archive: zipfile.ZipFile, name: str) -> Any:
    """The value in a pickle; of a module its state."""
    value = Restricted(io.BytesIO(read_record(archive, name, MOST_BYTES))).load()
    return value.state if isinstance(value, State) else value


def inputs(options: dict[str, int]) -> tuple[TensorFace, ...]:
    """What the program takes: any batch, any length."""
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if options["token_types"] > 0 else [])]
    return tuple(TensorFace(name, "int64", ("batch", "seq")) for name in names)


def outputs(options: dict[str, int], lists: dict[str, list[int]]) -> tuple[TensorFace, ...]:
    """What it gives: rows of the last linear layer are the labels."""
    labels = lists["linears"][-3]
    shape = ("batch", labels) if options["first_token"] == 1 else ("batch", "seq", labels)
    return (TensorFace("logits", "float32", shape),)


def vectors(lists: dict[str, list[int]]) -> tuple[TensorFace, ...]:
    """What an embedder gives: rows of the linear layer behind the pooling, or as many numbers as the last norm has."""
    first, end = lists["slots"][-3:-1]
    size = lists["linears"][3 * (end - 1)] if first < end else lists["norms"][-1]
    return (TensorFace(VECTOR_NAME, "float32", ("batch", size)),)


def used_operators(program: Any) -> tuple[str, ...]:
    """Operators of all methods, by name and overload; a program is its version and then the methods."""
    names: set[str] = set()
    for method in program[1:]:
        for title, entries in method[1]:
            if title == "operators":
                names |= {f"{name}.{overload}" if overload else name for name, overload, *_ in entries}
    return tuple(sorted(names))


def weight_faults(archive: zipfile.ZipFile, tensors: dict[str, Stored], options: dict[str, int]) -> list[str]:
    """Numbers that are NaN or infinite, among plain weights and the scales of rounded ones."""
    faults = []
    for name, tensor in tensors.items():
        data = np.frombuffer(read_record(archive, tensor.record), tensor.dtype)
        if len(data) != int(np.prod(tensor.shape)):
            raise InputError(f"the model's {name} have {len(data)} numbers, not {tensor.shape}; export it again")
        values = data
        if name in TABLES and tensor.dtype == "u1":
            dtype, width = TAILS[options["embedding_bits"] if name == "words" else 8]
            values = np.ascontiguousarray(data.reshape(tensor.shape)[:, -width:]).view(dtype)
        bad = int((~np.isfinite(values)).sum()) if values.dtype.kind == "f" else 0
        faults += [f"{name} hold {bad} values that are NaN or infinite"] if bad else []
    return faults
