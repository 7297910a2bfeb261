"""Open what the user names: a file of a known suffix, a folder of the `datasets` library, or a hub data set.

A source that exists, or ends in a known suffix, is on this machine; only other names are looked up on the hub
(`name:config` picks a configuration). Nothing that a source holds is ever run. `.gz` on top of any suffix is
unpacked, up to `MAX_UNPACKED` bytes: a few kilobytes of gzip can hold gigabytes.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from edgepack.bounded import ARCHIVES
from edgepack.errors import InputError, bare, reason, shown
from edgepack.task.reading.arrow import open_arrow, open_folder, open_hub, open_parquet
from edgepack.task.reading.columns import LABELS as LABEL_COLUMNS
from edgepack.task.reading.columns import TEXTS as TEXT_COLUMNS
from edgepack.task.reading.conll import open_conll
from edgepack.task.reading.conllu import looks_like_conllu, open_conllu
from edgepack.task.reading.delimited import open_csv, open_tsv
from edgepack.task.reading.json_rows import open_json
from edgepack.task.reading.table import Rows, Table, check_unpacked, most_unpacked

PLAIN = ".txt"
ONE_COLUMN = ("text",)  # of a file with a text on each line


def _open_plain(source: str, text: str, sha256: str) -> Table:
    """A file that says nothing by its name: TSV if its first line has the names of such columns, else CoNLL columns."""
    if text.startswith(FASTTEXT):
        raise InputError(
            f"{source}: is in fastText's format; write TSV with a header text and label, labels without {FASTTEXT}"
        )
    head = _head(text)
    texts_and_labels = not {*TEXT_COLUMNS}.isdisjoint(head) and not {*LABEL_COLUMNS}.isdisjoint(head)
    return (open_tsv if texts_and_labels else _open_columns)(source, text, sha256)


def _head(text: str) -> list[str]:
    """The cells of the first line, as names of columns are compared."""
    return [cell.strip().lower() for cell in text.partition("\n")[0].split("\t")]


def _open_columns(source: str, text: str, sha256: str) -> Table:
    """CoNLL columns; those of CoNLL-U stand in another order than any others'."""
    return (open_conllu if looks_like_conllu(text) else open_conll)(source, text, sha256)


TEXTS: dict[str, Callable[[str, str, str], Table]] = {  # (source, text, sha256)
    ".tsv": open_tsv,
    ".csv": open_csv,
    ".jsonl": open_json,
    ".ndjson": open_json,
    ".json": open_json,
    ".conll": _open_columns,
    ".conll2003": _open_columns,
    ".conllu": open_conllu,
    ".iob": open_conll,
    ".iob2": open_conll,
    ".bio": open_conll,
    ".bioes": open_conll,
    PLAIN: _open_plain,
}
BINARIES: dict[str, Callable[[str, bytes, str], Table]] = {".parquet": open_parquet, ".arrow": open_arrow}
SUFFIXES = (*TEXTS, *BINARIES)
ADVICE = (  # by what a file's name ends in
    ((".xls", ".xlsx", ".ods"), "save the sheet as CSV"),
    (ARCHIVES, "unpack it first"),
    (("",), "end its name with its format's"),
)
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
LFS_POINTER = b"version https://git-lfs"
MAX_UNPACKED = 2**30
OTHERS = {  # how files begin that are no text, whatever they are called
    b"PAR1": "Parquet: name it .parquet",
    b"ARROW1": "Arrow: name it .arrow",
    b"\x1f\x8b": "gzip: put .gz behind its name",
    b"PK\x03\x04": "a zip archive, as sheets of .xlsx are: unpack it, or save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "a sheet of an old Excel (.xls): save it as CSV",
    b"SQLite format 3": "an SQLite database: write the table as CSV",
    b"%PDF": "PDF, not data",
    b"<!DOCTYPE html": "a web page, not data: download the file itself",
    b"<html": "a web page, not data: download the file itself",
}
FASTTEXT = "__label__"
UTF16 = (b"\xff\xfe", b"\xfe\xff")  # UTF-32 begins with one of them, or with two NULs


def open_table(source: str, split: str = "train") -> Table:
    """The source as a table; `split` picks a part of a hub data set or of a `datasets` folder."""
    path = Path(source)
    if source == "-" or ADDRESS.match(str(source)):
        what = "the standard input, which can be read once only" if source == "-" else "an address"
        raise InputError(f"{shown(source)} is {what}; save the data as a file and give its path")
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except OSError as e:
        raise InputError(f"{bare(source, 200)}: cannot be opened: {e.strerror}") from e
    if is_folder:
        return open_folder(path, split, SUFFIXES)
    suffix, _ = _suffix(path)
    if not exists:
        if suffix in SUFFIXES or source.startswith((".", "/", "~")) or source.count("/") > 1:
            raise InputError(f"{source}: no such file")
        return open_hub(source, split)
    if suffix not in SUFFIXES:
        raise InputError(
            f"{source}: suffix is {suffix!r}; allowed: {', '.join(SUFFIXES)}, each with .gz too, or a folder that "
            f"`datasets` saved{next((f'; {advice}' for ends, advice in ADVICE if suffix in ends), '')}"
        )
    data, sha256 = _content(path, source)
    if suffix in BINARIES:
        return BINARIES[suffix](source, data, sha256)
    text = _decode(source, data)
    if not text.strip():
        raise InputError(f"{source}: the file is empty; a header and rows are needed")
    return TEXTS[suffix](source, text, sha256)


def is_text_file(source: str) -> bool:
    """Whether its name is that of a text file without columns."""
    return _suffix(Path(source))[0] == PLAIN


def open_to_answer(source: str) -> Table:
    """A text file: TSV if its first line names a column of texts, else a text on each line."""
    text, sha256 = _open_text(source)
    return (_lines if {*TEXT_COLUMNS}.isdisjoint(_head(text)) else open_tsv)(source, text, sha256)


def _open_text(source: str) -> tuple[str, str]:
    """A file's text, and its sha256."""
    path = Path(source)
    if not path.exists():
        raise InputError(f"{source}: no such file")
    data, sha256 = _content(path, source)
    return _decode(source, data), sha256


def open_lines(source: str) -> Table:
    """A file without columns as a table of one, `text`: a text on each line; blank lines are none."""
    return _lines(source, *_open_text(source))


def _lines(source: str, text: str, sha256: str) -> Table:
    lines = text.split("\n")

    def rows(columns: Sequence[str]) -> Rows:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield f"{source}:{number}", tuple(line if column == "text" else None for column in columns)

    return Table(source, ONE_COLUMN, rows, sha256)


def _content(path: Path, source: str) -> tuple[bytes, str]:
    """A file's content, unpacked, and the sha256 of the file."""
    data = _read(path, source)
    if data.startswith(LFS_POINTER):
        raise InputError(f"{source}: is a Git LFS pointer, not the data; fetch them with `git lfs pull`")
    sha256 = hashlib.sha256(data).hexdigest()
    return _unpack(source, data) if _suffix(path)[1] else data, sha256


def _suffix(path: Path) -> tuple[str, bool]:
    """The suffix that says the format, and whether the file is packed."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes[-1:] == [".gz"]
    return next(reversed(suffixes[:-1] if packed else suffixes), ""), packed


def _read(path: Path, source: str) -> bytes:
    if not path.is_file():
        raise InputError(f"{source}: is no regular file; it is read more than once, so write it to a file first")
    try:
        return path.read_bytes()
    except OSError as e:
        raise InputError(f"{source}: cannot be read: {e.strerror}") from e


def _unpack(source: str, data: bytes) -> bytes:
    """The content of a gzip file, of one member or several."""
    unpacked, packed = bytearray(), len(data)
    most = min(MAX_UNPACKED, most_unpacked(packed))
    try:
        while data:
            member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
            unpacked += member.decompress(data, most + 1 - len(unpacked))
            check_unpacked(source, len(unpacked), packed)
            if len(unpacked) > MAX_UNPACKED:
                raise InputError(f"{source}: unpacks to more than {MAX_UNPACKED:,} bytes; give it unpacked")
            if not member.eof:
                raise InputError(f"{source}: the gzip file ends too early; it was cut off")
            data = member.unused_data.lstrip(b"\0")  # padding is allowed behind a member
    except zlib.error as e:
        raise InputError(f"{source}: not a valid gzip file: {reason(e)}") from e
    return bytes(unpacked)


def _decode(source: str, data: bytes) -> str:
    """UTF-8 text, with or without a byte order mark, its lines ended in any of the three ways."""
    if data[257:262] == b"ustar":
        raise InputError(f"{source}: holds a tar archive of files: unpack it, and give one of them")
    if data.startswith(UTF16) or _looks_utf16(data):
        first = f"byte 0 is {data[0]:#04x}" if data.startswith(UTF16) else "every other byte is 0"
        raise InputError(f"{source}:1: is UTF-16, not UTF-8 ({first}); save the file as UTF-8")
    other = next((what for start, what in OTHERS.items() if data.startswith(start)), None)
    if other is not None:
        raise InputError(f"{source}: holds {other}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = data[: e.start].count(b"\n") + 1
        raise InputError(
            f"{source}:{line}: byte {e.start} ({data[e.start]:#04x}) is not UTF-8; save the file as UTF-8"
        ) from e
    return text if "\n" in text.rstrip() else text.replace("\r\n", "\n").replace("\r", "\n")


def _looks_utf16(data: bytes) -> bool:
    start = data[:200]
    return len(start) > 3 and max(start[::2].count(0), start[1::2].count(0)) > len(start) // 3
