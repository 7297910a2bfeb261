"""TSV and CSV.

TSV has no quoting, as GLUE's files have none: a quote is a character. But data frames write TSV with quotes, and read
literally such texts would keep them, doubled. So a TSV is taken as quoted only if a quoting writer would have written
exactly these bytes: every field that needs quotes has them and no other has (or all text fields have). CSV is RFC 4180
with a header; a semicolon, a tab or a bar separates where the header has no comma.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter

from edgepack.errors import InputError, reason
from edgepack.task.reading.conll import looks_like_columns, open_conll
from edgepack.task.reading.table import Note, Rows, Table, listed

HINT = "add a header if the first line is an example"
EXCEL = re.compile(r"sep=([^\r\n])\r?\n")  # a first line that tells Excel what parts the fields
JSON = re.compile(r"\s*(\[\s*)?\{\s*\"[^\"]*\"\s*:")  # how an object, or a list of objects, begins
QUOTED = re.compile(r'"[^"]*"')
NAMES = {";": "semicolons", "\t": "tabs", "|": "bars"}
MAX_FIELD = 2**30  # characters; the csv module stops at 131,072
PIECE = 1 << 20  # characters
Lines = Iterator[tuple[int, list[str]]]


def open_tsv(source: str, text: str, sha256: str) -> Table:
    """Tab-separated rows with a header; a file of one token on each line is CoNLL, whatever its suffix."""
    if looks_like_columns(text):
        return open_conll(source, text, sha256)
    _refuse_json(source, text)
    if is_quoted(text):
        note = Note(f"{source}: its fields are quoted as a data frame writes them; the quotes are taken off")
        return _table(source, sha256, lambda: _csv_lines(source, text, "\t", False), (note,))
    return _table(source, sha256, lambda: _tsv_lines(text), ())


def open_csv(source: str, text: str, sha256: str) -> Table:
    """Comma-separated rows with a header; CoNLL columns here too."""
    if looks_like_columns(text):
        return open_conll(source, text, sha256)
    _refuse_json(source, text)
    told = EXCEL.match(text)
    text = "\n" + text[told.end() :] if told else text
    head = text.lstrip("\r\n").partition("\n")[0]
    separator = told[1] if told else next((s for s in ",;\t" if s in QUOTED.sub("", head)), ",")
    if separator not in QUOTED.sub("", head) and "|" in head and not head.startswith("|"):
        separator = "|"
    notes = []
    if separator != ",":
        notes.append(Note(f"{source}: its fields are separated by {NAMES.get(separator, repr(separator))}"))
    spaced = separator + " " in head
    return _table(source, sha256, lambda: _csv_lines(source, text, separator, spaced), tuple(notes))


def _refuse_json(source: str, text: str) -> None:
    """`InputError` for JSON, whatever the file is called."""
    if JSON.match(text):
        raise InputError(f"{source}: holds JSON: name it .jsonl, with an object on each line, or .json")


def is_quoted(text: str) -> bool:
    """Whether a writer that quotes would have written exactly this tab-separated text."""
    if '"' not in text:
        return False
    end = "\r\n" if "\r\n" in text else "\n"
    reached = {_where_needed: 0, _quoted: 0, _texts: 0}
    try:
        for cells in csv.reader(_stream(text), delimiter="\t", strict=True):
            for style, place in list(reached.items()):
                line = "\t".join(map(style, cells))
                after = place + len(line)
                if text.startswith(line, place) and (text.startswith(end, after) or after == len(text)):
                    reached[style] = after + len(end)
                else:
                    del reached[style]
            if not reached:
                return False
    except csv.Error:
        return False
    return True


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


def _where_needed(cell: str) -> str:
    return _quoted(cell) if any(c in cell for c in '"\t\r\n') else cell


def _texts(cell: str) -> str:
    try:
        float(cell)
    except ValueError:
        return _quoted(cell)
    return cell


def _stream(text: str) -> io.StringIO:
    csv.field_size_limit(max(csv.field_size_limit(), MAX_FIELD))
    return io.StringIO(text, newline="")


def _tsv_lines(text: str) -> Lines:
    number = start = 0
    while start <= len(text):  # a piece at a time: a list of all lines would take more than the text
        end = text.find("\n", start + PIECE)
        end = len(text) if end < 0 else end
        for line in text[start:end].split("\n"):
            number += 1
            if line.strip(" \r"):
                yield number, line.rstrip("\r").split("\t")
        start = end + 1


def _csv_lines(source: str, text: str, separator: str, spaced: bool) -> Lines:
    """Numbered by the last line of each row."""
    before = 0
    reader = csv.reader(_stream(text), delimiter=separator, skipinitialspace=spaced, strict=True)
    try:
        for cells in reader:
            if len(cells) > 1 or "".join(cells).strip():
                yield reader.line_num, cells
            before = reader.line_num
    except csv.Error as e:
        if "end of data" in str(e):  # said at the last line, where nothing is wrong
            raise InputError(f"{source}:{before + 1}: a quote opens a field in this row, and none closes it") from e
        said = "a quote inside of quotes must be doubled" if "expected after" in str(e) else reason(e)
        raise InputError(f"{source}:{reader.line_num}: not valid CSV: {said}") from e


def _table(source: str, sha256: str, lines: Callable[[], Lines], notes: tuple[Note, ...]) -> Table:
    _, header = next(lines(), (0, []))
    if not header:
        raise InputError(f"{source}: its only cell is empty; a header and rows are needed")
    place_of = {column: place for place, column in reversed(list(enumerate(header)))}

    def rows(columns: Sequence[str]) -> Rows:
        places = [place_of[column] for column in columns]
        pick = itemgetter(*places) if len(places) > 1 else lambda cells: tuple(cells[place] for place in places)
        numbered, width = lines(), len(header)
        next(numbered)
        for number, cells in numbered:
            if len(cells) != width:
                raise InputError(
                    f"{source}:{number}: {len(cells)} fields; the header has {len(header)}: {listed(header)}"
                )
            if width > 1 and cells[-1] == header[-1] and [cells[0].lstrip("\ufeff"), *cells[1:]] == header:
                raise InputError(f"{source}:{number}: the header again, as where files were joined; take this line out")
            yield f"{source}:{number}", pick(cells)

    return Table(source, tuple(header), rows, sha256, notes=notes, hint=HINT)
