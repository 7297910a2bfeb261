"""CoNLL-U, as Universal Dependencies has it: ten columns, of which the second is the word and the fourth its tag.

    ID  FORM  LEMMA  UPOS  XPOS  FEATS  HEAD  DEPREL  DEPS  MISC

Lines with # are comments. A line whose number is a range (1-2, a word that is written as one and analysed as two) or
has a point (1.1, a word that was left out) is no word of its own: its parts are. Nivre et al. 2020, arXiv 2004.10643.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from edgepack.errors import InputError, shown
from edgepack.task.reading.table import Note, Rows, Table, listed

COLUMNS = ("id", "tokens", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
UPOS = frozenset(
    [
        *("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM"),
        *("PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X"),
    ]
)
NUMBER = re.compile(r"\d+")
NO_WORD = re.compile(r"\d+-\d+|\d+\.\d+")
TAGS = ("upos", "xpos")  # that every word has, or the file lacks them
ABSENT = "_"
LOOKED_AT = 400  # lines
HINT = "it is CoNLL-U, read by its column upos; --label-column names another: " + ", ".join(COLUMNS[4:6] + COLUMNS[7:])


def looks_like_conllu(text: str) -> bool:
    """Whether the first lines have ten columns, a number in the first and a universal tag in the fourth."""
    lines = (line.rstrip("\r") for line in text[:200_000].split("\n")[:LOOKED_AT][:-1])
    rows = [line.split("\t") for line in lines if line.strip() and not line.startswith("#")]
    words = [row for row in rows if not NO_WORD.fullmatch(row[0])]
    fits = all(len(row) == len(COLUMNS) and NUMBER.fullmatch(row[0]) and row[3] in UPOS for row in words)
    return bool(words) and fits


def open_conllu(source: str, text: str, sha256: str) -> Table:
    """A table of sentences: `tokens`, `upos` and the other columns by their names."""
    lines = text.split("\n")
    left_out = sum(len(NO_WORD.findall(line.partition("\t")[0])) for line in lines)

    def rows(wanted: Sequence[str]) -> Rows:
        places = [COLUMNS.index(column) for column in wanted]
        for number, sentence in _sentences(source, lines, [place for place in places if COLUMNS[place] in TAGS]):
            yield f"{source}:{number}", tuple([cells[place] for cells in sentence] for place in places)

    next(rows(("tokens",)), None)  # what is wrong with the first sentence is said at once
    said = f"{source}: read as CoNLL-U: words of column FORM, tags of UPOS unless --label-column names another"
    if left_out:
        said += f"; {left_out} lines of ranges and empty nodes are left out, the words in them are read"
    return Table(source, COLUMNS, rows, sha256, notes=(Note(said),), label_hint=HINT)


def _sentences(source: str, lines: list[str], tags: Sequence[int]) -> Iterator[tuple[int, list[list[str]]]]:
    """Each sentence's words as cells, with the number of its first line; `tags`: cells that a word must have."""
    sentence: list[list[str]] = []
    begun = 0
    for number, line in enumerate(lines, 1):
        line = line.rstrip("\r")
        if not line.strip():
            if sentence:
                yield begun, sentence
            sentence = []
            continue
        cells = line.split("\t")
        if line.startswith("#") or NO_WORD.fullmatch(cells[0]):
            continue
        if len(cells) != len(COLUMNS) or not NUMBER.fullmatch(cells[0]) or not cells[1].strip():
            raise InputError(
                f"{source}:{number}: CoNLL-U has {len(COLUMNS)} columns between tabs, the word's number in the first "
                f"and the word in the second; this line has {len(cells)}: {listed(cells)}"
            )
        empty = next((COLUMNS[place] for place in tags if cells[place] == ABSENT), None)
        if empty is not None:
            raise InputError(
                f"{source}:{number}: the word {shown(cells[1])} has no {empty} ({ABSENT}); name a column that every "
                f"word has with --label-column: {', '.join(COLUMNS[3:6] + COLUMNS[7:])}"
            )
        begun = begun if sentence else number
        sentence.append(cells)
    if sentence:
        yield begun, sentence
