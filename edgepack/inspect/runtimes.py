"""Which inference runtimes are in an app: one copy of the one that the bundle needs, not two.

Runtimes are tens of megabytes, and two libraries that bring the same one crash or double an app's size. A library is
known by its file name, or, when a runtime was linked into another binary (on iOS into the app itself), by C++ names
that only an implementation holds: type information keeps them in stripped files. Libraries of a known helper, such as
a JNI bridge or a GPU delegate, hold no copy of their own. Core ML and Core AI are part of iOS and are not looked for.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from edgepack.inspect.archive import AppArchive
from edgepack.inspect.check import Check, verdict_of
from edgepack.inspect.native_libraries import abi_of, native_libraries
from edgepack.target import SYSTEM_RUNTIMES

MACH_O_MAGICS = (b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")  # 64-bit, and several architectures in one file


@dataclass(frozen=True)
class RuntimeSigns:
    """How a runtime is recognized; `names` are file names without `lib` and ending."""

    names: tuple[str, ...]
    markers: tuple[bytes, ...]


RUNTIMES = {
    "onnxruntime": RuntimeSigns(("onnxruntime",), (b"N11onnxruntime", b"onnxruntime::")),
    "pytorch-lite": RuntimeSigns(
        ("pytorch_jni_lite", "pytorch_jni", "torch", "torch_cpu", "LibTorch-Lite"), (b"N5torch3jit", b"torch::jit::")
    ),
    "executorch": RuntimeSigns(("executorch", "executorch_jni"), (b"executorch::runtime::",)),
    "litert": RuntimeSigns(
        ("tensorflowlite_jni", "tensorflowlite", "tensorflowlite_c", "LiteRt", "TensorFlowLiteC"), (b"N6tflite",)
    ),
}
LONGEST_MARKER = max(len(marker) for signs in RUNTIMES.values() for marker in signs.markers)
# Bridges, delegates and dispatchers: they carry C++ names of the runtime that they belong to, and no copy of it.
HELPER = re.compile(
    r"onnxruntime4j_jni|onnxruntime_\w+|pytorch_vision_jni|tensorflowlite_\w+|LiteRt\w+|\w*executorch_backend\w*"
)


@dataclass(frozen=True)
class Copy:
    """One runtime found: its name, where, and for which processor."""

    runtime: str
    path: str
    place: str  # ABI on Android, the app on iOS


def check_runtimes(app: AppArchive, needed: frozenset[str]) -> Check:
    """One copy for each processor, of the runtime that the app's bundles need."""
    copies = runtime_copies(app)
    by_place: dict[str, list[Copy]] = defaultdict(list)
    for copy in copies:
        by_place[copy.place].append(copy)
    faults = [
        f"{place} has {len(found)} inference runtimes: {', '.join(c.path for c in found)}"
        for place, found in by_place.items()
        if len(found) > 1
    ]
    present = {copy.runtime for copy in copies}
    faults += [
        f"the bundle needs {name} and the app has {', '.join(sorted(present)) or 'no runtime'}"
        for name in sorted(needed - present - set(SYSTEM_RUNTIMES))
    ]
    fine = ", ".join(sorted({f"{c.runtime} ({c.place})" for c in copies})) or "none is needed"
    return verdict_of("runtimes", faults, fine, "ship one runtime, the bundle's")


def runtime_copies(app: AppArchive) -> list[Copy]:
    """All copies in an app's binaries."""
    if app.kind == "ipa":
        binaries = {e.name: app_of(e.name) for e in app.entries if e.head in MACH_O_MAGICS and app_of(e.name)}
    else:
        binaries = {library.name: abi_of(library) for library in native_libraries(app)}
    copies = []
    for path, place in binaries.items():
        copies += [Copy(runtime, path, place) for runtime in runtimes_in(path, app.chunks(path))]
    return copies


def app_of(name: str) -> str:
    """`NAME.app` of a path in an .ipa, or nothing."""
    parts = PurePosixPath(name).parts
    return parts[1] if len(parts) > 2 and parts[0] == "Payload" else ""


def runtimes_in(path: str, chunks: Iterable[bytes]) -> list[str]:
    """The runtimes that a binary is or holds."""
    name = PurePosixPath(path).name
    if name.endswith(".so"):
        name = name.removesuffix(".so").removeprefix("lib")
    named = [runtime for runtime, signs in RUNTIMES.items() if name in signs.names]
    if named or HELPER.fullmatch(name):
        return named
    found, before = set[str](), b""
    for chunk in chunks:
        data = before + chunk
        found |= {runtime for runtime, signs in RUNTIMES.items() if any(marker in data for marker in signs.markers)}
        before = data[-LONGEST_MARKER:]
    return [runtime for runtime in RUNTIMES if runtime in found]
