"""What an installation or a machine lacks, as errors of one line: packages of the pip extras, disk, memory, rights.

`pip install edgepack` is light: it checks, packages and reports what was built. Training and exporting need torch,
transformers and their kin, which `edgepack[build]` adds; signatures and bills of materials need `edgepack[release]`,
`build --search` needs `edgepack[search]`.
Single formats know their own. A command, or a call from Python, that meets one of these things missing ends with an
`EdgepackError`; every other exception is a defect and goes on as it is.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from edgepack.errors import FULL, DiskFull, EdgepackError, InputError, MissingDependency, OutOfMemory, bare
from edgepack.parameters import format_size

BUILD_PACKAGES = {
    "torch": "training and the TorchScript artifacts",
    "transformers": "teachers and students",
    "onnx": "writing ONNX artifacts",
    "accelerate": "training",
    "datasets": "hub data",
    "pyarrow": "Parquet data",
    "optimum": "describing teachers",
    "safetensors": "weights",
    "scikit-learn": "the linear model that a student is compared with",
}
IMPORTED_AS = {"sklearn": "scikit-learn"}  # where a module has another name than its package
RELEASE_PACKAGES = {"cryptography": "signatures", "cyclonedx": "bills of materials"}
SEARCH_PACKAGES = {"optuna": "short trainings of a plan's candidates"}
RAY_PACKAGES = {"ray": "sweeps on a cluster", "fsspec": "their shared storage"}
INSTALL_BUILD = 'pip install "edgepack[build]"'
INSTALL_RELEASE = 'pip install "edgepack[release]"'
INSTALL_SEARCH = 'pip install "edgepack[search]"'
INSTALL_RAY = 'pip install "edgepack[ray]"'
EXTRAS = (
    (BUILD_PACKAGES, INSTALL_BUILD),
    (RELEASE_PACKAGES, INSTALL_RELEASE),
    (SEARCH_PACKAGES, INSTALL_SEARCH),
    (RAY_PACKAGES, INSTALL_RAY),
)
FOLDER_NEEDED = (errno.ENOTDIR, errno.EEXIST)  # a file stands in its place
UNUSABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP, errno.EIO, *FOLDER_NEEDED)
FULL_TEXTS = ("No space left on device", "os error 28", "PytorchStreamWriter failed writing")  # of other libraries
SHORT = {"m": "model", "d": "data", "b": "budget", "t": "target", "o": "output"}
LONG_OPTION, SHORT_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]+)"), re.compile(r"(?<![\w-])-([mdbto])(?=\W|$)")
COMMANDS = ("pip install", "accelerate launch")  # lines that have options of their own


@contextmanager
def one_line_errors(what: str) -> Iterator[None]:
    """A decorator of what Python calls: what it lacks is an `EdgepackError`, and options have their keywords' names."""
    try:
        yield
    except Exception as e:
        found = plain_error(e, what)
        if found is None:
            raise
        found.args = (with_keywords(str(found)), *found.args[1:])
        if found is e:
            raise
        raise found from e


def with_keywords(message: str) -> str:
    """The message with `--raw-text` and `-o` as Python has them: `raw_text`, `output`. Commands stay as they are."""
    parts = message.split("`")
    for place in range(0, len(parts), 2):  # what is between backticks is a command
        if not any(command in parts[place] for command in COMMANDS):
            parts[place] = LONG_OPTION.sub(lambda found: found[1].replace("-", "_"), parts[place])
            parts[place] = SHORT_OPTION.sub(lambda found: SHORT[found[1]], parts[place])
    return "`".join(parts)


def plain_error(error: Exception, what: str) -> EdgepackError | None:
    """An exception as one of our errors, as a user who does `what` may be told it; None for a defect."""
    if isinstance(error, EdgepackError):
        return error
    if isinstance(error, ModuleNotFoundError):
        return missing_package(error, what)
    if isinstance(error, MemoryError):
        return OutOfMemory(f"{what} needs more memory than it may have")
    if isinstance(error, OSError):
        return refused_by_system(error)
    return disk_full(None) if any(text in str(error) for text in FULL_TEXTS) else None


def refused_by_system(error: OSError) -> EdgepackError | None:
    """What the system says of a disk or a file, as one of our errors."""
    if error.errno in FULL:
        return disk_full(error.filename)
    if error.errno in UNUSABLE and error.filename:
        name = bare(os.fsdecode(error.filename) if isinstance(error.filename, bytes) else str(error.filename), 200)
        return InputError(f"{name}: {error.strerror}; give a place that can be read and written")
    return None


def disk_full(filename: Any) -> DiskFull:
    """What to say of a disk that was full in the middle of a file, whose size nobody knows."""
    folder = Path(filename if isinstance(filename, str) else ".").absolute().parent
    while not folder.exists():
        folder = folder.parent
    free, where = format_size(shutil.disk_usage(folder).free), f" for {bare(str(filename), 200)}" if filename else ""
    return DiskFull(f"no room left on the disk{where}, {free} free; make some, then give the same command again")


def missing_package(error: ModuleNotFoundError, what: str) -> MissingDependency | None:
    """The line for a user who does `what` without a package of an extra; None for any other module: a defect."""
    module = (error.name or "").partition(".")[0]
    package = IMPORTED_AS.get(module, module)
    for packages, install in EXTRAS:
        if package in packages:
            return MissingDependency(f"{what} needs {package}, which is not installed; run: {install}")
    return None


def import_package(module: str, what: str) -> Any:
    """A module of an extra; `MissingDependency` that says what needs it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as e:
        raise missing_package(e, what) or e from e
