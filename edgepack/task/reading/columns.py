"""Which columns hold the text, the second text and the label.

Columns are found by the names that public data sets use, spelled exactly so before in other case, or named by the
user. How a tagging file is laid out, see `tagging`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NoReturn

from edgepack.errors import InputError, shown
from edgepack.task.reading.labels import BOOLEANS, NUMBER, is_gap
from edgepack.task.reading.problem import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Problem
from edgepack.task.reading.scores import are_numbers, as_number, holds_scores
from edgepack.task.reading.sets import are_one_hot, flag_columns, holds_sets
from edgepack.task.reading.table import Table, listed

PAIRS = (
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("text_a", "text_b"),
    ("question", "sentence"),
    *(("query", candidate) for candidate in ("passage", "document", "doc", "candidate", "answer", "product_title")),
    ("text", "text_pair"),
    ("text1", "text2"),
    ("sentence_a", "sentence_b"),
)
TEXTS = (
    *("sentence", "text", "utterance", "question", "premise", "sentence1", "query", "review", "content", "text_a"),
    *("tweet", "comment", "document", "message", "body"),
)
LABELS = (
    *("label", "labels", "intent", "class", "category", "target", "gold_label"),
    *("sentiment", "emotion", "topic", "stars", "label_text", "label_name"),
)
SCORES = (
    "score",
    "scores",
    "similarity",
    "similarity_score",
    "relatedness",
    "relatedness_score",
    "relevance",
    "rating",
)
QUERY = "query"  # the column of a pair whose other text is a candidate to be ranked
WORDS = ("tokens", "words", "token", "word")
TAGS = (
    *("tags", "ner_tags", "labels", "slots", "word_labels", "tag", "ner", "ner_tag", "bio", "iob", "label"),
    *("pos_tags", "upos", "pos", "xpos"),
)
COMPANIONS = tuple(
    f"{between}{word}" for word in ("text", "name", "names", "str", "string") for between in ("_", "-", " ", "")
)


class Recorded(str):
    """The name of a column as a bundle's build was told it, not the user of other data."""


@dataclass(frozen=True)
class Columns:
    """What the user says of the columns; the rest is found by well-known names. `text` is the words of a tagging task.

    `names` are the names of integer labels, in the order of their numbers; `outside` is the label of rows that are out
    of scope.
    """

    text: str | None = None
    pair: str | None = None
    label: str | None = None
    names: Sequence[str] = ()
    outside: str | None = None


def of_lines(columns: Columns) -> Columns:
    """The same for a file of one text a line, which has no names: what a record names is left out."""
    text, pair, label = (
        None if isinstance(name, Recorded) else name for name in (columns.text, columns.pair, columns.label)
    )
    return replace(columns, text=text, pair=pair, label=label)


@dataclass(frozen=True)
class Layout:
    """Where a row's parts are. `label_name`: the column that names what `label` has as a number.

    `flags`: the columns of 0 and 1 that stand for a label each, where there are such.
    """

    kind: Literal["text", "words", "spans", "token rows"]
    text: str
    label: str
    pair: str | None = None
    label_name: str | None = None
    sentence: str = ""
    flags: tuple[str, ...] = ()


def text_layout(table: Table, pair: bool, columns: Columns, problem: Problem = SINGLE_LABEL) -> Layout:
    """The columns of a task whose texts have a label each, sets of labels, or scores."""
    text, second = text_columns(table, pair, columns)
    if problem == REGRESSION:
        known = (*SCORES, *LABELS)
        score = choose(table, "score", "--label-column", columns.label, known)
        refuse_same(table, {"the text": text, "the second text": second, "the score": score})
        return Layout("text", text, score, second)
    several, flags = problem == MULTI_LABEL, label_flags(table, columns)
    if flags:
        if not (several or are_one_hot(table, flags)):
            _refuse_label_columns(table, flags)
        return Layout("text", text, flags[0], second, flags=flags)
    if columns.label is None and not find(table, LABELS):
        _refuse_scores(table)
    preferred = _set_columns(table, columns) if several else ()
    label = choose(table, "label", "--label-column", columns.label, (*preferred, *LABELS))
    refuse_same(table, {"the text": text, "the second text": second, "the label": label})
    named = columns.label is None and not several
    companion = find(table, companions(label)) if named else None
    if companion and _has_booleans(table, label):
        return Layout("text", text, companion, second)
    if companion and (companion == label or not _names_integers(table, label, companion)):
        companion = None
    return Layout("text", text, label, second, companion)


def companions(label: str) -> tuple[str, ...]:
    """What a column is called that names the numbers of the column `label`; of `labels` also `label_text`."""
    own = label.strip().lower()
    return tuple(f"{name}{end}" for name in dict.fromkeys((own, own.removesuffix("s"))) for end in COMPANIONS)


def text_columns(table: Table, pair: bool, columns: Columns) -> tuple[str, str | None]:
    """The column of the text, and of the second one where texts come in pairs."""
    known = next(((a, b) for a, b in PAIRS if pair and find(table, (a,)) and find(table, (b,))), None)
    text = choose(
        table,
        "first text" if pair else "text",
        "--text-column",
        columns.text,
        (known[0],) if known else () if pair else TEXTS,
    )
    if not pair:
        return text, None
    second = choose(table, "second text", "--pair-column", columns.pair, (known[1],) if known else ())
    refuse_same(table, {"the first text": text, "the second one": second})
    return text, second


def refuse_same(table: Table, parts: Mapping[str, str | None]) -> None:
    """`InputError` for a column that would be read as two parts of a row."""
    taken: dict[str, str] = {}
    for part, column in parts.items():
        if column is None:
            continue
        if column in taken:
            raise InputError(
                f"{table.source}: column {shown(column)} would be {taken[column]} and {part} of each row; name another "
                "column for one of them"
            )
        taken[column] = part


def find(table: Table, names: Sequence[str]) -> str | None:
    """The first of the well-known `names` that is a column: spelled so, or else the only one that differs in case."""
    folded: dict[str, list[str]] = {}
    for column in table.columns:
        folded.setdefault(column.strip().lower(), []).append(column)
    for name in names:
        if name in table.columns:
            return name
        alike = folded.get(name, [])
        if len(set(alike)) > 1:
            raise InputError(
                f"{table.source}: columns {listed(alike)} differ in case or spaces only; rename all but one of them"
            )
        if alike:
            return alike[0]
    return None


def choose(table: Table, what: str, flag: str, given: str | None, known: Sequence[str]) -> str:
    """The column `given`, or else the first of the well-known ones; an error where there is neither, or two."""
    if given is not None and given not in table.columns:
        raise _not_there(table, given, flag, given)
    column = given or find(table, known)
    twins = [name for name, count in Counter(table.columns).items() if name and count > 1]
    if twins and column in (None, *twins):
        said = f"column {shown(twins[0])} stands twice in the header: {listed(table.columns)}"
        raise InputError(f"{table.source}: {said}")
    if column is None and not table.columns:
        raise InputError(f"{table.source}: no {what} column found: it has no columns; each row needs named ones")
    if column is None:
        raise InputError(
            f"{table.source}: no {what} column found; its columns: {listed(table.columns)}; name it with {flag}"
            f"{_of_other_task(table, what) or _nested(table)}"
        )
    return column


def _of_other_task(table: Table, what: str) -> str:
    """What to say of data that look like those of the other kind of task."""
    if what == "words" and find(table, TEXTS):
        return ", if these are tagged words; they look like texts with labels, and the model tags words"
    if what == "text" and find(table, WORDS[:2]):
        return ", if these are texts; they look like tagged words, and the model reads whole texts"
    return ""


def _not_there(table: Table, name: str, flag: str, given: str) -> InputError:
    """What to say of a column that is named, in `given`, and not there."""
    build = isinstance(given, Recorded)
    said = f", which the bundle's build was told; name another with {flag}" if build else ""
    return InputError(f"{table.source}: no column {shown(name)}{said}; its columns: {listed(table.columns)}")


def _nested(table: Table) -> str:
    """What to do about columns that are one level down, or a header that is not there."""
    first = table.sample(*table.columns)[:1]
    for column, value in zip(table.columns, first[0] if first else (), strict=False):
        if isinstance(value, dict) and value:
            return f", or move the entries of {shown(column)} ({listed(map(str, value))}) to the top of each row"
    return f", or {table.hint}" if table.hint and not find(table, (*TEXTS, *WORDS, *LABELS, *TAGS)) else ""


def _names_integers(table: Table, label: str, companion: str) -> bool:
    """Whether the first rows have whole numbers as labels and other texts beside them; a row may lack its text."""
    sample = table.sample(label, companion)
    texts = [text for _, text in sample if not is_gap(text)]
    named = all(isinstance(text, str) and not text.strip().isdecimal() for text in texts)
    return bool(texts) and named and all(_is_whole(number) for number, _ in sample)


def _is_whole(value: object) -> bool:
    """Whether a label is a whole number, with the .0 that a data frame with gaps puts behind it or without."""
    if isinstance(value, str):
        return NUMBER.fullmatch(value.strip()) is not None
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


def _has_booleans(table: Table, label: str) -> bool:
    """Whether the first rows have true and false as labels."""
    sample = [str(value).strip().lower() for (value,) in table.sample(label)]
    return bool(sample) and all(value in BOOLEANS for value in sample)


def label_flags(table: Table, columns: Columns) -> tuple[str, ...]:
    """The columns of 0 and 1 that stand for a label each; those that the user lists, else all where none is a label."""
    given = columns.label
    if given is not None:
        parts = tuple(part.strip() for part in given.split(","))
        if given in table.columns or len(parts) == 1:
            return ()
        missing = [part for part in parts if part not in table.columns]
        if missing:
            raise _not_there(table, missing[0], "--label-column", given)
        return parts
    if find(table, LABELS):
        return ()
    flags = flag_columns(table)
    return tuple(flags) if len(flags) > 1 else ()


def has_sets(table: Table, columns: Columns) -> bool:
    """Whether the data of a classification task have sets of labels, by what stands in it.

    Columns of 0 and 1 of which one is 1 in each row are one label for each text.
    """
    flags = label_flags(table, columns)
    if flags:
        return not are_one_hot(table, flags)
    label = columns.label or find(table, LABELS)
    return label in table.columns and _is_of_sets(table, label)


def _is_of_sets(table: Table, column: str) -> bool:
    """Whether a column holds sets of labels."""
    return holds_sets(value for _, (value,) in table.rows((column,)))


def _set_columns(table: Table, columns: Columns) -> tuple[str, ...]:
    """The first column of a known name that holds sets of labels, where a column of single ones stands beside it."""
    found = [column for name in LABELS if (column := find(table, (name,))) is not None]
    if columns.label is not None or len(found) < 2:
        return ()
    return tuple(column for column in found if _is_of_sets(table, column))[:1]


def score_column(table: Table, columns: Columns) -> str | None:
    """The column of the scores of a classification task's data; None where they have labels, by what stands in it.

    One that is called as labels are has scores where a number of it is no whole one.
    """
    label = columns.label or find(table, LABELS)
    if label is not None:
        named = label.strip().lower() in SCORES
        holds = label in table.columns and (are_numbers if named else holds_scores)(
            v for _, (v,) in table.rows((label,))
        )
        return label if holds else None
    score = find(table, SCORES)
    return score if score is not None and are_numbers(value for (value,) in table.sample(score)) else None


def ranks_candidates(table: Table, columns: Columns) -> bool:
    """Whether pairs are of a query and a candidate: the first column is called so, and a query has several."""
    text, second = text_columns(table, True, columns)
    if second is None or text.strip().lower() != QUERY:
        return False
    seen: set[object] = set()
    for _, (value,) in table.rows((text,)):
        if value in seen:
            return True
        seen.add(value)
    return False


def _refuse_scores(table: Table) -> None:
    """Refuse a column of scores of which one is no number, where there is no label column."""
    score = find(table, SCORES)
    for place, (value,) in table.rows((score,)) if score is not None else ():
        if as_number(value) is None:
            raise InputError(
                f"{place}: column {shown(score)} holds {shown(value)}, which is no number, so there are neither scores "
                "nor labels: write numbers with a point, or name the label column with --label-column"
            )


def _refuse_label_columns(table: Table, flags: Sequence[str]) -> NoReturn:
    """Refuse a column of zeros and ones for each label, where a text has several or none, for a task of one label."""
    raise InputError(
        f"{table.source}: has no label column, but a column of 0 and 1 for each of several labels "
        f"({listed(flags)}), and not one 1 in each row: multi-label data; the teacher gives one label for each text: "
        "fine-tune one of label sets, or name its label column with --label-column"
    )
