"""Native libraries of an Android app: loadable on devices with pages of 16 KB.

Two things must hold for a 64-bit library: its ELF LOAD segments are aligned to 16 KB, and, where an .apk stores it
uncompressed, so is its place in the .apk, from which Android maps it. 32-bit devices have pages of 4 KB. In an .aab
and where a library is compressed only the first matters: the place is made on installation.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from edgepack.inspect.archive import AppArchive, Entry
from edgepack.inspect.check import Check, not_applicable, verdict_of
from edgepack.inspect.elf import load_segments

PAGE_BYTES_64, PAGE_BYTES_32 = 16384, 4096
HEADER_BYTES = 1 << 20  # of a library; linkers put its program headers right behind the first 64
ABIS_64 = ("arm64-v8a", "x86_64", "riscv64")


def native_libraries(app: AppArchive) -> list[Entry]:
    """Entries `lib/ABI/NAME.so`, in an .aab below a module."""
    below = 0 if app.kind == "apk" else 1
    return [
        e for e in app.entries if e.name.endswith(".so") and PurePosixPath(e.name).parts[below : below + 1] == ("lib",)
    ]


def abi_of(library: Entry) -> str:
    """The folder that a library is in."""
    return PurePosixPath(library.name).parent.name


def page_bytes(library: Entry) -> int:
    """The page size that a library must be aligned to."""
    return PAGE_BYTES_64 if abi_of(library) in ABIS_64 else PAGE_BYTES_32


def check_segments(app: AppArchive) -> Check:
    """Every library's LOAD segments can be mapped."""
    libraries = native_libraries(app)
    faults = [fault for library in libraries if (fault := segment_fault(library, app.head(library.name, HEADER_BYTES)))]
    remedy = "link with -Wl,-z,max-page-size=16384, or take a newer release of the library"
    return verdict_of("elf-16kb", faults, f"{len(libraries)} native libraries load on pages of 16 KB", remedy)


def segment_fault(library: Entry, data: bytes) -> str | None:
    """What is wrong with a library's segments."""
    try:
        segments = load_segments(data)
    except ValueError as e:
        return f"{library.name} {e}"
    needed = page_bytes(library)
    worst = min((s.alignment for s in segments if not s.fits(needed)), default=None)
    return None if worst is None else f"{library.name} has a LOAD segment aligned to {worst}, not {needed}"


def check_alignment(app: AppArchive) -> Check:
    """Stored entries of an .apk start at multiples of 4, stored libraries at multiples of their page size."""
    if app.kind != "apk":
        return not_applicable("zip-alignment", f"an .{app.kind} is not mapped into memory")
    pages = {library.name: page_bytes(library) for library in native_libraries(app)}
    stored = [entry for entry in app.entries if entry.stored and entry.size]
    faults = [
        f"{entry.name} starts at {entry.offset}, not at a multiple of {pages.get(entry.name, 4)}"
        for entry in stored
        if entry.offset % pages.get(entry.name, 4)
    ]
    remedy = "run zipalign -P 16 4 before signing"
    return verdict_of("zip-alignment", faults, f"{len(stored)} stored entries are aligned", remedy)
