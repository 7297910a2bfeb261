"""CoNLL columns: a token on each line with its tag behind it, a blank line between sentences.

Columns are parted by tabs if every line has one, else by spaces or tabs; the first holds the tokens, the last the
tags, those between are called by their number. `-DOCSTART-` lines and comments (`# id 7`) are left out. Kim Sang and
De Meulder 2003 has the format; WNUT, MultiCoNER, wikigold and many others follow it.

A table of one token in each row, sentences told apart by a column, becomes the same thing: see `group_sentences`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from edgepack.errors import InputError
from edgepack.task.reading.labels import is_gap
from edgepack.task.reading.table import Note, Rows, Table, listed

TAG = re.compile(r"O|[BIESULM][-_]\S+|[BI]")
SPACES = re.compile(r"[ \t]+")  # not \s: a token may be a no-break space
WORDS = ("token", "tokens", "word", "words", "form", "text")  # of a header
DOCUMENT = "-DOCSTART-"
LOOKED_AT = 400  # lines
Lines = Iterator[tuple[int, list[str]]]


def looks_like_columns(text: str) -> bool:
    """Whether the text is CoNLL columns: a tag ends every line, all have one width, blank lines part them."""
    lines = text[:200_000].split("\n")[:LOOKED_AT]
    cut = len(lines) == LOOKED_AT or len(text) > 200_000
    rows, blanks = [], 0
    for line in lines[:-1] if cut else lines:
        blanks += not line.strip()
        if line.strip() and not line.startswith((DOCUMENT, "# ")):
            rows.append(SPACES.split(line.strip(" \t\r")))
    tags = [row[-1] for row in (rows[1:] if rows and not TAG.fullmatch(rows[0][-1]) else rows)]
    fits = bool(tags) and len({len(row) for row in rows}) == 1 and len(rows[0]) > 1 and all(map(TAG.fullmatch, tags))
    return fits and (blanks > 1 or (blanks > 0 and not cut)) and "O" in tags


def open_conll(source: str, text: str, sha256: str) -> Table:
    """A table of sentences: the columns `tokens` and `tags`, the others by the header's name or their number from 1.

    Tokens are in the first column, or in the second if the first one counts them; or where a header says.
    """
    lines = text.split("\n")
    tabs = all("\t" in line for line in lines if line.strip() and not line.startswith((DOCUMENT, "#")))
    first = next((cells for _, cells in _cells(lines, tabs) if cells and not _is_comment(cells, len(cells))), [])
    width = len(first)
    if width < 2:
        raise InputError(f"{source}: a token and its tag on each line are needed; the first line is {listed(first)}")
    header = _is_header(first)
    columns = [cell.strip().lower() for cell in first] if header else [str(number) for number in range(1, width + 1)]
    token = next((place for place, name in enumerate(columns) if name in WORDS), 0)
    if not header and width > 2:
        token = int(_counts(next(_sentences(source, lines, tabs, width, header))[1]))
    columns[token], columns[-1] = "tokens", "tags"
    _check_order(source, lines, tabs, header)

    def rows(wanted: Sequence[str]) -> Rows:
        places = [columns.index(column) for column in wanted]
        for number, sentence in _sentences(source, lines, tabs, width, header):
            yield f"{source}:{number}", tuple([cells[place] for cells in sentence] for place in places)

    notes = (Note(f"{source}: read as CoNLL: a token on each line, its tag in the last of {width} columns"),)
    return Table(source, tuple(columns), rows, sha256, notes=notes)


def _check_order(source: str, lines: list[str], tabs: bool, header: bool) -> None:
    """`InputError` for tags in the first column and tokens in the last, which would be read as tags."""
    rows = [cells for _, cells in _cells(lines[:LOOKED_AT], tabs) if len(cells) > 1][int(header) :]
    firsts, lasts = {cells[0] for cells in rows}, {cells[-1] for cells in rows}
    if "O" in firsts and len(firsts) > 1 and all(map(TAG.fullmatch, firsts)) and not any(map(TAG.fullmatch, lasts)):
        raise InputError(
            f"{source}: its first column holds tags ({listed(sorted(firsts))}), its last one tokens "
            f"({listed(sorted(lasts)[:3])}); write the token first and its tag last"
        )


def _counts(sentence: list[list[str]]) -> bool:
    """Whether the first column of a sentence counts its tokens."""
    return [cells[0] for cells in sentence] == [str(number) for number in range(1, len(sentence) + 1)]


def _is_header(cells: list[str]) -> bool:
    return cells[-1].lower() in ("tag", "tags", "ner", "ner_tag", "ner_tags", "label", "labels", "entity")


def _is_comment(cells: list[str], width: int) -> bool:
    """Whether a line that begins with # is not the token # with its tag."""
    return cells[0].startswith("#") and (len(cells) != width or not TAG.fullmatch(cells[-1]))


def _cells(lines: list[str], tabs: bool) -> Lines:
    """Each line's cells; none for a blank line or a document's start."""
    for number, line in enumerate(lines, 1):
        line = line.rstrip("\r")
        if not line.strip(" \t") or line.startswith(DOCUMENT):
            yield number, []
        else:
            yield number, line.rstrip("\t").split("\t") if tabs else SPACES.split(line.strip(" \t"))


def _sentences(
    source: str, lines: list[str], tabs: bool, width: int, header: bool
) -> Iterator[tuple[int, list[list[str]]]]:
    """Each sentence's rows of cells, with the number of its first line."""
    sentence: list[list[str]] = []
    begun = 0
    for number, cells in _cells(lines, tabs):
        if header and cells:
            header = False
        elif cells and _is_comment(cells, width):
            continue
        elif cells and (len(cells) != width or not cells[0].strip(" ") or not cells[-1].strip(" ")):
            raise InputError(
                f"{source}:{number}: CoNLL columns are a token, what is between, and its tag; the first line has "
                f"{width}, this one has {len(cells)}: {listed(cells)}"
            )
        elif cells:
            begun = begun if sentence else number
            sentence.append([cell.strip(" ") for cell in cells])
        elif sentence:
            yield begun, sentence
            sentence = []
    if sentence:
        yield begun, sentence


def group_sentences(table: Table, sentence: str, word: str, tag: str) -> Table:
    """A table of one token in each row as one of sentences, parted where the `sentence` column changes.

    A cell left empty continues the sentence above, as spreadsheets have it; so does NaN, as data frames write it.
    """

    def rows(wanted: Sequence[str]) -> Rows:
        current: Any = None
        begun, words, tags = "", list[Any](), list[Any]()
        seen: set[str] = set()
        sentences = single = 0
        again = ""
        for place, (number, token, label) in table.rows((sentence, word, tag)):
            number = None if is_gap(number) else number
            if number is None and not begun:
                raise InputError(f"{place}: no value in column {sentence!r}; the first row must have one")
            if number is not None and number != current:
                if words:
                    yield begun, _pick(wanted, words, tags)
                sentences, single = sentences + 1, single + (len(words) == 1)
                again = again or (place if str(number) in seen else "")
                seen.add(str(number))
                current, begun, words, tags = number, place, [], []
            words.append(token)
            tags.append(label)
        if words:
            yield begun, _pick(wanted, words, tags)
        if 2 * single > sentences > 2 * len(seen):  # not sentences of one word, nor numbers that begin anew
            raise InputError(
                f"{again}: a sentence of column {sentence!r} comes back here, and most have one token: the rows are in "
                "another order; sort them so that those of a sentence stand together"
            )

    names = {"tags": table.names[tag]} if tag in table.names else {}
    note = Note(f"{table.source}: one token in each row; sentences are told apart by column {sentence!r}")
    return Table(table.source, ("tokens", "tags"), rows, table.sha256, names, (*table.notes, note))


def _pick(wanted: Sequence[str], words: list[Any], tags: list[Any]) -> tuple[list[Any], ...]:
    return tuple(words if column == "tokens" else tags for column in wanted)
