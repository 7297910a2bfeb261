r"""A built app as a zip file: its kind, its entries, and where each one's bytes lie.

All three kinds are zip files that differ in what stands at the top: `AndroidManifest.xml` (.apk), `BundleConfig.pb`
(.aab) or `Payload/` (.ipa); the name's ending is not believed. Opening reads every entry once, so that a truncated
file, a wrong checksum or an archive that unpacks to far more than it is ends here, with one line. zipfile does not
tell where an entry's bytes start, which is what alignment is about: that stands in the local header,

    PK\x03\x04, 22 bytes, u16 name length, u16 extra length, name, extra, data

and its extra field is not the central directory's. Entries are stored or deflated: no store takes another packing.
What is read whole has a limit that its reader names; everything else is read in pieces.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Literal

from edgepack.errors import InputError, bare

Kind = Literal["apk", "aab", "ipa"]
MAX_UNPACKED_BYTES = 4 * 10**9  # App Store's limit for an app, the largest of all stores'
MAX_RATIO, RATIO_FREE_BYTES = 50, 100 * 10**6  # code and models pack to a third; small archives may be all zeros
MOST_ENTRIES = 200_000  # a zip without its 64-bit extension, as an .apk is, has 65,535 at most
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
BROKEN = (zipfile.BadZipFile, struct.error, zlib.error, EOFError, OverflowError, ValueError, RuntimeError)
LOCAL_HEADER = struct.Struct("<4s22xHH")
SIGNING_BLOCK_MAGIC = b"APK Sig Block 42"  # right before the central directory, signature schemes 2 and 3
CHUNK_BYTES = 1 << 20
HEAD_BYTES = 4


@dataclass(frozen=True)
class Entry:
    """One file in the archive; `offset` is where its stored or packed bytes start, `head` its first bytes, unpacked."""

    name: str
    size: int
    stored: bool
    offset: int
    head: bytes


@dataclass(frozen=True)
class AppArchive:
    """A zip file that was read whole once; it stays open."""

    path: Path
    kind: Kind
    entries: tuple[Entry, ...]
    has_signing_block: bool
    opened: zipfile.ZipFile = field(repr=False, compare=False)

    def read(self, name: str, limit: int) -> bytes:
        """The unpacked bytes of an entry; `InputError` where they are more than `limit`."""
        data = self.head(name, limit + 1)
        if len(data) > limit:
            raise InputError(f"{self.path}: {bare(name)} holds more than {limit:,} bytes; build the app again")
        return data

    def read_all(self, names: Iterable[str], limit: int) -> Iterator[bytes]:
        """The unpacked bytes of each entry; `InputError` where they are more than `limit` together."""
        for name in names:
            data = self.read(name, limit)
            limit -= len(data)
            yield data

    def head(self, name: str, count: int) -> bytes:
        """The first unpacked bytes of an entry."""
        with self.opened.open(name) as packed:
            return packed.read(count)

    def chunks(self, name: str) -> Iterator[bytes]:
        """The unpacked bytes of an entry, piece by piece."""
        with self.opened.open(name) as packed:
            while chunk := packed.read(CHUNK_BYTES):
                yield chunk

    def find(self, name: str) -> Entry | None:
        """The entry of this name, if there is one."""
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> dict[str, Entry]:
        return {entry.name: entry for entry in reversed(self.entries)}


def open_archive(path: Path) -> AppArchive:
    """Open a built app; `InputError` where it is none, is damaged, or unpacks to more than an app can be."""
    if not path.is_file():
        raise InputError(f"{path} is no regular file; give the .apk, .aab or .ipa as it was built")
    try:
        archive = zipfile.ZipFile(path)
        with path.open("rb") as file:
            members = [info for info in archive.infolist() if not info.is_dir()]
            check_sizes(path, members)
            kind = kind_of(path, {info.filename for info in members})
            entries = tuple(entry_of(file, info, unpack(archive, info)) for info in members)
            signed = has_signing_block(file, archive.start_dir)
    except BROKEN as e:  # zipfile raises ValueError for names that are not UTF-8, RuntimeError for encryption
        raise InputError(
            f"{path} is no whole zip file ({bare(str(e), 200)}); give the .apk, .aab or .ipa as it was built"
        ) from e
    except OSError as e:
        raise InputError(f"{path} cannot be read: {e.strerror or e}; give a built .apk, .aab or .ipa") from e
    return AppArchive(path, kind, entries, signed, archive)


def check_sizes(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """Refuse a zip bomb by what it declares; zipfile never unpacks more than these sizes."""
    if len(members) > MOST_ENTRIES:
        raise InputError(f"{path} has {len(members):,} entries; no app has more than {MOST_ENTRIES:,}")
    unpacked, packed = sum(info.file_size for info in members), path.stat().st_size
    if unpacked > MAX_UNPACKED_BYTES:
        raise InputError(f"{path} unpacks to {unpacked:,} bytes; no store takes more than {MAX_UNPACKED_BYTES:,}")
    if unpacked > RATIO_FREE_BYTES and unpacked > MAX_RATIO * packed:
        raise InputError(
            f"{path} unpacks from {packed:,} to {unpacked:,} bytes, more than {MAX_RATIO} times; that is no app"
        )


def kind_of(path: Path, names: set[str]) -> Kind:
    """What kind of app has these files."""
    if "AndroidManifest.xml" in names:
        return "apk"
    if "BundleConfig.pb" in names:
        return "aab"
    if any(name.startswith("Payload/") and ".app/" in name for name in names):
        return "ipa"
    raise InputError(
        f"{path} is a zip file and no app: it has no AndroidManifest.xml (.apk), BundleConfig.pb (.aab) "
        "or Payload/NAME.app (.ipa); give a built app"
    )


def entry_of(file: BinaryIO, info: zipfile.ZipInfo, head: bytes) -> Entry:
    """An entry with the place of its bytes, from its local header."""
    file.seek(info.header_offset)
    signature, name_bytes, extra_bytes = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
    if signature != b"PK\x03\x04":
        raise zipfile.BadZipFile(f"{info.filename} has no local header")
    offset = info.header_offset + LOCAL_HEADER.size + name_bytes + extra_bytes
    return Entry(info.filename, info.file_size, info.compress_type == zipfile.ZIP_STORED, offset, head)


def has_signing_block(file: BinaryIO, central_directory: int) -> bool:
    """Whether an APK signing block ends where the central directory begins."""
    file.seek(max(0, central_directory - len(SIGNING_BLOCK_MAGIC)))
    return file.read(len(SIGNING_BLOCK_MAGIC)) == SIGNING_BLOCK_MAGIC


def unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The first bytes of an entry; reads to its end, where zipfile compares its checksum."""
    if info.compress_type not in METHODS:
        raise zipfile.BadZipFile(f"{info.filename} is packed by method {info.compress_type}, an app's by 0 or 8")
    with archive.open(info) as packed:
        head = packed.read(HEAD_BYTES)
        while packed.read(CHUNK_BYTES):
            pass
        return head
