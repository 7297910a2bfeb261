"""Targets: what a device family's runtime can load and run, as data.

A target is a TOML file in `targets/`; its name is the file's name. Code branches on a field of a target,
never on its name, so a new device is a new file. The folder travels in the wheel as `edgepack/_data/targets`
and is found there first, else at the root of a source checkout. A file says everything or fails: unknown
keys, missing keys and wrong types are errors that name the file and the key. What a target does not say is how
to export to it: that is looked up by `format` in `edgepack.export` and by `runtime` in `edgepack.runtime`.
"""

from __future__ import annotations

import tomllib
from dataclasses import MISSING, Field, dataclass, fields
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from edgepack.errors import InputError, MissingDependency, did_you_mean

SYSTEM_RUNTIMES = {"coreml": "Core ML", "coreai": "Core AI"}  # part of the device's system: no app brings them


@dataclass(frozen=True)
class Target:
    """One device family and runtime.

    `body_bits` and `embedding_bits` are the widths the runtime can run, in order of preference; `file` is the
    model's path inside a bundle; `opset` and `ir_version` are the newest that a file may ask for (`None` where
    they do not apply); `app` is the sample app that runs the file, `None` where there is none; `operators` are all
    that a file may use, with their domain where it is not ONNX's own;
    `static_shape` asks for a file of batch 1 and the student's longest sequence, which some accelerators need, and
    the app pads to;
    `runtime_library` names what the app links (how large it is: `bundle/runtime_sizes.toml`); `extra` is the pip
    extra that exporting or running needs. `activations` says what shares a range when activations are rounded:
    "example", "token", or "nothing" where they are not. `fixed_batch` is the number of texts that a file takes at once
    (`None`: any), `integers` the type of its inputs.
    """

    name: str
    title: str
    device: str
    format: str
    runtime: str
    runtime_min_version: str
    file: str
    body_bits: tuple[int, ...]
    embedding_bits: tuple[int, ...]
    operators: tuple[str, ...]
    app: str | None = None
    opset: int | None = None
    ir_version: int | None = None
    static_shape: bool = False
    runtime_library: str | None = None
    extra: str | None = None
    activations: str = "example"
    fixed_batch: int | None = None
    integers: str = "int64"
    notes: str = ""

    @property
    def takes_one(self) -> bool:
        """Whether a file takes one text at a time."""
        return self.fixed_batch == 1 or self.static_shape


def list_targets() -> tuple[str, ...]:
    """Names of all known targets, sorted."""
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in _folder().iterdir() if _is_toml(entry)))


@cache
def load_target(name: str) -> Target:
    """Read the target called `name`; raise `InputError` for an unknown name or a malformed file."""
    known = list_targets()
    if name not in known:
        raise InputError(f"unknown target {name!r}; known: {', '.join(known)}{did_you_mean(name, known)}")
    return parse_target(name, (_folder() / f"{name}.toml").read_text(encoding="utf-8"))


def parse_target(name: str, text: str) -> Target:
    """A target from its file's text; errors name `<name>.toml` and the key."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise InputError(f"{name}.toml is not valid TOML: {e}; correct the file") from e
    keys = {field.name: field for field in fields(Target) if field.name != "name"}
    unknown = sorted(set(table) - set(keys))
    if unknown:
        raise InputError(f"{name}.toml: unknown key {unknown[0]!r}; allowed: {', '.join(keys)}")
    missing = [key for key, field in keys.items() if field.default is MISSING and key not in table]
    if missing:
        raise InputError(f"{name}.toml: key {missing[0]!r} is missing; add it")
    return Target(name=name, **{key: _checked(f"{name}.toml", keys[key], value) for key, value in table.items()})


def _checked(file: str, field: Field[Any], value: Any) -> Any:
    """`value` if it has the type that the field's annotation asks for, lists as tuples."""
    annotation = str(field.type)
    item: type = bool if annotation == "bool" else int if "int" in annotation else str
    is_tuple = annotation.startswith("tuple")
    values = value if is_tuple and isinstance(value, list) else [value]
    right = all(type(v) is item for v in values) and is_tuple == isinstance(value, list)  # a bool is no int here
    if not right:
        wanted = f"a list of {item.__name__}" if is_tuple else f"of type {item.__name__}"
        raise InputError(f"{file}: key {field.name!r} is {value!r}; it must be {wanted}")
    return tuple(value) if is_tuple else value


def _folder() -> Traversable:
    """Where the TOML files are: inside the installed package, else in the source checkout."""
    for folder in (files("edgepack") / "_data" / "targets", Path(__file__).parents[1] / "targets"):
        if folder.is_dir() and any(_is_toml(entry) for entry in folder.iterdir()):
            return folder
    raise MissingDependency("edgepack is installed without its targets; run: pip install --force-reinstall edgepack")


def _is_toml(entry: Traversable) -> bool:
    return entry.name.endswith(".toml")
