"""How a tagging file is laid out, told by its first values; and whether a file is for tagging at all.

There are lists of words and tags (or strings that spaces part), one token in each row, and texts with entities by
character positions.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from edgepack.errors import InputError
from edgepack.task.reading.columns import LABELS, PAIRS, TAGS, TEXTS, WORDS, Columns, Layout, choose, find
from edgepack.task.reading.conll import TAG
from edgepack.task.reading.spans import columnar
from edgepack.task.reading.table import Table
from edgepack.task.task import TaskName

SPANS = ("entities", "spans", "label", "labels", "annotations", "ents")
ENTITIES = ("entities", "spans", "ents")  # those that hold nothing else
SENTENCES = ("sentence_id", "sentence #", "sentence_idx", "sentence_number", "sent_id", "sentence", "doc_id", "id")


def infer_layout(table: Table, columns: Columns) -> tuple[TaskName, bool]:
    """What the columns say the data is for: the task's name, and whether texts come in pairs."""
    if columns.pair is not None:
        return "text-classification", True
    if columns.text is not None and columns.text.lower() in WORDS:
        return "token-classification", False
    listed_words = find(table, WORDS[:2]) and find(table, tuple(name for name in TAGS if name != "label"))
    if columns.text is None and (listed_words or _token_rows(table)):
        return "token-classification", False
    if _tagged_texts(table, columns) is not None:
        return "token-classification", False
    known = columns.text is None and any(find(table, (a,)) and find(table, (b,)) for a, b in PAIRS)
    return "text-classification", known


def said_of_both(table: Table, columns: Columns) -> str:
    """What to say of a file that is read as tagged words and has texts with labels too; empty for any other."""
    words, tags, text, label = (find(table, names) for names in (WORDS[:2], TAGS, TEXTS, LABELS))
    if columns.text is not None or not words or not tags or not text or label in (None, tags):
        return ""
    return (
        f"{table.source}: has words with tags ({words}, {tags}) and texts with labels ({text}, {label}); the tags are "
        f"read: --text-column {text} --label-column {label} asks for the labels"
    )


def tag_layout(table: Table, columns: Columns) -> Layout:
    """The columns of a tagging task, and which of the layouts it is."""
    words = columns.text or find(table, WORDS)
    tags = columns.label or find(table, TAGS)
    if not words or not tags:
        found = _tagged_texts(table, columns)
        if found is not None:
            return found
    words = choose(table, "words", "--text-column", columns.text, WORDS)
    tags = choose(table, "tags", "--label-column", columns.label, TAGS)
    sample = table.sample(words, tags)
    if _holds_spans(table, tags):
        return Layout("spans", words, tags)
    if sample and all(_single(word) and _single(tag) for word, tag in sample):
        sentence = _sentence_column(table, words, tags)
        if sentence is not None:
            return Layout("token rows", words, tags, sentence=sentence)
        if len(sample) > 1:
            raise InputError(
                f"{table.source}: has one token in each row and nothing that tells sentences apart; add a column "
                "sentence_id, or write CoNLL columns with a blank line between sentences"
            )
    return Layout("words", words, tags)


def is_spans(value: Any) -> bool:
    """Whether a value is a list of entities by position."""
    if isinstance(value, str):
        return value.lstrip().startswith(("[{", "[["))
    if isinstance(value, dict):
        return isinstance(value.get("entities"), list) or columnar(value) is not None
    return isinstance(value, list) and bool(value) and all(isinstance(entity, dict | list | tuple) for entity in value)


def _holds_spans(table: Table, column: str) -> bool:
    """Whether a column has lists of entities by position; the first ones may be empty, where entities are rare."""
    sample = [value for (value,) in table.sample(column)]
    if any(map(is_spans, sample)):
        return True
    if not sample or any(value not in ([], "[]") for value in sample) or find(table, LABELS):
        return False
    with suppress(InputError):  # what is wrong with a row is said when all are read
        for _, (value,) in table.rows((column,)):
            if value not in ([], "[]"):
                return is_spans(value)
    return column.strip().lower() in ENTITIES


def _sentence_column(table: Table, words: str, tags: str) -> str | None:
    """The column that is alike, or empty, in neighbouring rows of one sentence."""
    for name in SENTENCES:
        column = find(table, (name,))
        if column and column not in (words, tags):
            values = ["" if value is None else str(value).strip() for (value,) in table.sample(column)]
            if "" in values or len(set(values)) < len(values):
                return column
    return None


def _token_rows(table: Table) -> bool:
    """Whether the first rows have a token each, with a tag of a scheme with prefixes, and a column of sentences."""
    word, tag = find(table, WORDS), find(table, TAGS)
    if not word or not tag or not _sentence_column(table, word, tag):
        return False
    sample = table.sample(word, tag)
    return bool(sample) and all(_single(w) and isinstance(t, str) and TAG.fullmatch(t.strip()) for w, t in sample)


def _tagged_texts(table: Table, columns: Columns) -> Layout | None:
    """A layout of whole texts with entities by position, or with a tag for each of their words."""
    text = columns.text or find(table, TEXTS)
    if text is None or text not in table.columns:
        return None
    for names in ((columns.label,),) if columns.label else ((name,) for name in SPANS):
        spans = find(table, names)
        if spans and spans != text and _holds_spans(table, spans):
            return Layout("spans", text, spans)
    for names in ((columns.label,),) if columns.label else ((name,) for name in TAGS):
        tags = find(table, names)
        if tags and tags != text and _are_tags(table.sample(text, tags)):
            return Layout("words", text, tags)
    return None


def _are_tags(sample: list[tuple[Any, ...]]) -> bool:
    """Whether each text has as many tags as it has words, and they are of a scheme with prefixes."""
    found = False
    for text, tags in sample:
        if not isinstance(text, str) or not isinstance(tags, str | list):
            return False
        split = tags.split() if isinstance(tags, str) else tags
        if len(split) != len(text.split()) or not all(isinstance(t, str) and TAG.fullmatch(t) for t in split):
            return False
        found = found or len(split) > 1
    return found


def _single(value: Any) -> bool:
    return (isinstance(value, str) and len(value.split()) == 1 and value[:1] != "[") or isinstance(value, int)
