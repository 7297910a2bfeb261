"""Every row checked: texts as strings, words and tags as tuples, labels still as the data writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from edgepack.errors import InputError, shown
from edgepack.task.reading.columns import Layout
from edgepack.task.reading.conll import group_sentences
from edgepack.task.reading.problem import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Problem
from edgepack.task.reading.row_notes import said_of_texts, said_of_tokens
from edgepack.task.reading.scores import read_score, said_of_scores
from edgepack.task.reading.sets import (
    find_form,
    holds_lists_of_one,
    how_read,
    only_label,
    read_flags,
    read_set,
    said_of_sets,
)
from edgepack.task.reading.spans import check_types, tag_words
from edgepack.task.reading.table import Note, Table, listed

SURROGATE = re.compile("[\ud800-\udfff]")
ITEM = re.compile(r"""\s*('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|-?\d{1,9}(?![\w.]))\s*(,|(?=[\]\s'"]))""", re.DOTALL)
ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U000[0-9a-fA-F]{5}|U0010[0-9a-fA-F]{4}|.)", re.DOTALL)
ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}
LONG_SENTENCE = 300  # words
LONGEST_NUMBER = 40  # digits of a label
LONGEST_TEXT = 1_000_000  # characters: tokenizing one takes some hundred bytes for each
MOST_KNOWN = 10_000  # labels that are looked up, not checked again


class Row(NamedTuple):  # millions of them: half the memory of a dataclass, a third of the time
    """A checked row. `labels` has the label, those of a set, or the tag of each word.

    Of a named number its name is `name`.
    """

    where: str
    text: str
    pair: str | None
    words: tuple[str, ...] | None
    labels: tuple[str, ...]
    name: str | None = None


class Read(NamedTuple):
    """All rows, and what is to be said; `vectors`: how many numbers of 0 and 1 each has for its labels, if any."""

    rows: list[Row]
    notes: tuple[Note, ...]
    vectors: int = 0


def read_rows(table: Table, layout: Layout, problem: Problem = SINGLE_LABEL) -> Read:
    """All rows; a source without one is an error. `problem`: whether texts have a label, a set of labels, a score."""
    notes, vectors = table.notes, 0
    if layout.kind == "token rows":
        table = group_sentences(table, layout.sentence, layout.text, layout.label)
        notes, layout = table.notes, Layout("words", "tokens", "tags")
    if layout.kind == "text":
        read = {SINGLE_LABEL: _label_rows, MULTI_LABEL: _set_rows, REGRESSION: _score_rows}[problem]
        rows, said, vectors = read(table, layout)
        notes = (*notes, *said, *said_of_texts(table.source, [(row.text, row.pair) for row in rows]))
    elif layout.kind == "words":
        rows = [_tagged_row(where, *values) for where, values in _values(table, layout.text, layout.label)]
        if len(rows) == 1 and len(rows[0].words or ()) > LONG_SENTENCE:
            why = f"{table.source}: is one sentence of {len(rows[0].words or ()):,} words: blank lines part sentences"
            notes = (*notes, Note(why, warning=True))
    else:
        rows, note = _spanned_rows(table, layout)
        notes = (*notes, note)
    if not rows:
        raise InputError(f"{table.source}: a header and no rows; at least one example is needed")
    words = [row.words for row in rows if row.words is not None]
    return Read(rows, (*notes, *said_of_tokens(table.source, [row.text for row in rows], words)), vectors)


def read_texts(table: Table, text: str, pair: str | None) -> list[Row]:
    """Texts, pairs or lists of words, without labels; a source without one is an error."""
    rows = []
    for where, (value, *others) in _values(table, text, *filter(None, (pair,))):
        words = tuple(value) if isinstance(value, list | tuple) and all(isinstance(w, str) for w in value) else None
        first = _text(where, text, value if words is None else " ".join(words))
        rows.append(Row(where, first, _text(where, str(pair), others[0]) if others else None, words, ()))
    if not rows:
        raise InputError(f"{table.source}: a header and no rows; at least one text is needed")
    return rows


def _values(table: Table, *columns: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for where, values in table.rows(columns):
        if None in values:
            missing = columns[values.index(None)]
            raise InputError(f"{where}: no value in column {shown(missing)}; the columns are {listed(table.columns)}")
        yield where, values


def _text_rows(table: Table, layout: Layout, lists: bool = False) -> Iterator[Row]:
    """Texts with their labels; `lists`: each in a list of one."""
    columns = [layout.text, layout.label, *filter(None, (layout.pair, layout.label_name))]
    known: dict[str, tuple[str]] = {}  # labels that were checked: each is kept once
    for where, (text, label, *others) in _values(table, *columns):
        text = _text(where, layout.text, text)
        pair = _text(where, columns[2], others[0]) if layout.pair else None
        name = _name(where, layout.label, layout.label_name, others[-1]) if layout.label_name else None
        label = only_label(label) if lists else label
        labels = known.get(label) if type(label) is str else None
        if labels is None:
            labels = (_label(where, label),)
            if type(label) is str and len(known) < MOST_KNOWN:
                known[label] = labels
        yield Row(where, text, pair, None, labels, name)


def _label_rows(table: Table, layout: Layout) -> tuple[list[Row], list[Note], int]:
    """Texts with one label each, also where it stands in a list or as the one 1 among columns of 0 and 1."""
    if layout.flags:
        how = f"has a column of 0 and 1 for each label ({listed(layout.flags)}) and one 1 in each row"
        rows, _, _ = _set_rows(table, layout)
    else:
        lists = holds_lists_of_one(value for _, (value,) in table.rows((layout.label,)))
        how = f"column {shown(layout.label)} holds a list of one label in each row" if lists else ""
        rows = list(_text_rows(table, layout, lists))
    return rows, [Note(f"{table.source}: {how}, read as that label")] if how else [], 0


def _name(where: str, label: str, column: str, value: Any) -> str:
    """The name that stands beside the number of a label."""
    if value != value or (isinstance(value, str) and not value.strip()):
        raise InputError(
            f"{where}: column {shown(column)}, which names the numbers of column {shown(label)}, is empty here; write "
            f"the name, or --label-column {shown(label)} reads the numbers alone"
        )
    return _label(where, value)


def _score_rows(table: Table, layout: Layout) -> tuple[list[Row], list[Note], int]:
    """Texts with their scores."""
    columns = [layout.text, *filter(None, (layout.pair,))]
    rows = []
    for where, (*texts, value) in _values(table, *columns, layout.label):
        text, *pair = (_text(where, column, each) for column, each in zip(columns, texts, strict=True))
        rows.append(Row(where, text, pair[0] if pair else None, None, (read_score(where, layout.label, value),)))
    scores = [float(row.labels[0]) for row in rows]
    return rows, [said_of_scores(table.source, layout.label, scores)] if rows else [], 0


def _set_rows(table: Table, layout: Layout) -> tuple[list[Row], list[Note], int]:
    """Texts with the labels of their sets; and the length of the vectors that these are written as, else 0."""
    flags, texts = layout.flags, [layout.text, *filter(None, (layout.pair,))]
    joined = find_form(() if flags else ((place, value) for place, (value,) in table.rows((layout.label,))))
    rows = []
    for where, values in _values(table, *texts, *(flags or (layout.label,))):
        text, *pair = (_text(where, column, value) for column, value in zip(texts, values, strict=False))
        cells = values[len(texts) :]
        labels = read_flags(where, flags, cells) if flags else read_set(where, cells[0], joined, _label)
        rows.append(Row(where, text, pair[0] if pair else None, None, labels))
    how = how_read(joined, flags, layout.label)
    return rows, [said_of_sets(table.source, how, [len(row.labels) for row in rows])], joined.vectors


def _text(where: str, column: str, value: Any) -> str:
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError as e:
            raise InputError(f"{where}: column {shown(column)} holds bytes that are not UTF-8") from e
    if not isinstance(value, str):
        advice = "; a data frame's to_json needs orient='records'" if isinstance(value, dict) else ""
        raise InputError(f"{where}: column {shown(column)} holds {shown(value)}; text is needed{advice}")
    return _whole(where, column, value)


def _whole(where: str, column: str, text: str) -> str:
    """Refuse half a surrogate pair, which no tokenizer takes, and a text of which no model sees a thousandth."""
    if len(text) > LONGEST_TEXT:
        raise InputError(
            f"{where}: column {shown(column)} holds a text of {len(text):,} characters; at most {LONGEST_TEXT:,} are "
            "read: shorten it, or leave the row out"
        )
    if not text.isascii() and (half := SURROGATE.search(text)):
        raise InputError(
            f"{where}: column {shown(column)} holds {shown(half[0])}, half of a surrogate pair, at character "
            f"{half.start()}: a text cut inside a character; mend or remove it"
        )
    return text


def _label(where: str, value: Any) -> str:
    """The label as a string: a name, or a class id in digits."""
    if isinstance(value, bytes):
        value = _text(where, "label", value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int):
        if abs(value) >= 10**LONGEST_NUMBER:
            raise InputError(f"{where}: label is a number of more than {LONGEST_NUMBER} digits, no class id")
        return str(value)
    if isinstance(value, float) and value == value:
        raise InputError(
            f"{where}: label is {value!r}; a name or a class id is needed, or a teacher of scores "
            "(`edgepack finetune` makes one)"
        )
    if isinstance(value, list | tuple):
        raise InputError(
            f"{where}: label is a list, {shown(value)}: multi-label data; the teacher gives one label for each text: "
            "a name or a class id is needed, or a teacher of label sets (`edgepack finetune` makes one)"
        )
    if not isinstance(value, str):
        raise InputError(f"{where}: label is {shown(value)}; a name or a class id is needed")
    if not value.strip():
        raise InputError(f"{where}: the label is empty; a name or a class id is needed")
    return _whole(where, "label", value)


def _tagged_row(where: str, words: Any, tags: Any) -> Row:
    words, tags = (_items(where, value) for value in (words, tags))
    if not isinstance(words, list) or not isinstance(tags, list) or not all(isinstance(w, str) for w in words):
        raise InputError(f"{where}: tokens and tags must be lists; they are {shown(words)} and {shown(tags)}")
    if len(words) != len(tags):
        raise InputError(f"{where}: {len(words)} tokens and {len(tags)} tags; one tag for each token is needed")
    if not words:
        raise InputError(f"{where}: no tokens; at least one is needed")
    if None in tags:
        raise InputError(f"{where}: token {tags.index(None) + 1} has no tag; O is that of a token outside of entities")
    checked = tuple(_whole(where, "tokens", word) for word in words)
    return Row(where, " ".join(checked), None, checked, tuple(_label(where, tag) for tag in tags))


def _items(where: str, value: Any) -> Any:
    """A list from a string: a list as Python or NumPy prints it, else what spaces part."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if not (text.startswith("[") and text.endswith("]")) or text == "[]":
        return [] if text == "[]" else text.split()
    items: list[Any] = []
    place = 1
    while place < len(text) - 1:
        found = ITEM.match(text, place)
        if found is None:
            if text[place:-1].strip():
                return _no_list(where, text, place)
            break
        items.append(ESCAPE.sub(_unescaped, found[1][1:-1]) if found[1][0] in "'\"" else int(found[1]))
        place = found.end()
    return items


def _unescaped(escape: re.Match[str]) -> str:
    """The character that an escape of Python's stands for."""
    code = escape[1]
    return chr(int(code[1:], 16)) if len(code) > 1 else ESCAPED.get(code, code)


def _no_list(where: str, text: str, place: int) -> list[str]:
    """Words that only begin and end with brackets; anything quoted in them is a list that is broken."""
    if text[1:2] in "'\"" or "..." in text[place : place + 4]:
        raise InputError(f"{where}: the list {shown(text)} is broken or cut short at {shown(text[place : place + 20])}")
    return text.split()


def _spanned_rows(table: Table, layout: Layout) -> tuple[list[Row], Note]:
    rows, moved, entities = [], 0, 0
    for where, (text, entities_given) in _values(table, layout.text, layout.label):
        spanned = tag_words(where, _text(where, layout.text, text), entities_given)
        if not spanned.words:
            raise InputError(f"{where}: no tokens in the text; at least one is needed")
        moved += spanned.moved
        entities += sum(tag.startswith("B") for tag in spanned.tags)
        rows.append(Row(where, " ".join(spanned.words), None, spanned.words, spanned.tags))
    if rows:
        check_types(rows[0].where, {tag[2:] for row in rows for tag in row.labels if tag != "O"})
    said = f"{table.source}: {entities} entities by character positions, read as words with BIO tags"
    if moved:
        said += f"; {moved} of them had an end inside a word, or spaces at an end, and take whole words"
    if 2 * moved > entities:
        said += ". Positions must count Unicode code points, not bytes or UTF-16, and an end is exclusive"
    return rows, Note(said, warning=moved > 0)
