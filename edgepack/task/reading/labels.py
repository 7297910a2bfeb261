"""Which class id each label of the data means.

Labels are matched with the teacher's by name, or are class ids, and one of the two holds for the whole file: never is
"1" a name in one row and 1 an id in another. Names agree if they are spelled alike; else if they differ in spaces at
their ends or in Unicode's form (NFC) only; else, and that is said, in case only. Each of these must be unambiguous. Ids
that are names as well are names, and that is said, unless other data of the same task can only be ids. Nothing is
guessed beyond that: a label that fits neither way is an error that shows both lists.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from edgepack.errors import InputError, shown
from edgepack.task.reading.table import Note, listed

PLACEHOLDER = re.compile(r"LABEL_(\d{1,9})")  # what transformers calls labels that nobody named
NUMBER = re.compile(r"(\d{1,9})(?:\.0+)?")  # data frames with gaps write whole numbers as 1.0
LEADING_ZEROS = re.compile(r"^0+(?=\d+$)")
BOOLEANS = {"false": 0, "true": 1}
SEVERAL = re.compile(r"\s*[,;|]\s*")
NAMED_BY_USER = "--labels"
GAPS = ("nan", "NaN", "NAN", "<NA>", "NaT", "null", "NULL")  # of pandas, NumPy and JSON
SHEET_ERRORS = ("#N/A", "#NAME?", "#REF!", "#VALUE!", "#DIV/0!", "#NUM!", "#NULL!")
COLLECTION = re.compile(r"""["']?[\[({]\s*\\?["'].*[\])}]["']?|(?:frozen)?set\(.*\)""", re.DOTALL)  # as text
OF_OTHERS = re.compile(r"[\s+/&]+")  # what may join labels besides `SEVERAL`, and stand in names as well
MARKS_OF_NONE = ("None", "NA", "N/A", "n/a", "-", "?")  # of no label; in few data they are classes
Convention = str  # "names" or "class ids"


@dataclass(frozen=True)
class FileLabels:
    """The distinct labels of a file, each with the place of its first row."""

    source: str
    places: Mapping[str, str]


@dataclass(frozen=True)
class Reading:
    """The class id of each of a file's labels, and what is to be said of them."""

    ids: Mapping[str, int]
    notes: tuple[Note, ...]


class OtherLabels(InputError):
    """Labels of data that are none of the teacher's."""


def match_labels(files: Sequence[FileLabels], labels: Sequence[str]) -> list[Reading]:
    """The class ids of the labels of data files that belong together, by one convention; `OtherLabels` for others."""
    options = [_conventions(file, labels) for file in files]
    numbers = [all(class_id(label, labels) is not None or is_integer(label) for label in f.places) for f in files]
    if all(numbers) and len(files) > 1:
        shared = set.intersection(*map(set, options))
        if not shared:
            raise InputError(_contradiction(files, options))
        options = [[c for c in option if c in shared] for option in options]
    return [_read(file, option, labels) for file, option in zip(files, options, strict=True)]


def is_unnamed(labels: Iterable[str]) -> bool:
    """Whether nobody named the teacher's labels."""
    return all(map(PLACEHOLDER.fullmatch, labels))


def clean_name(name: str) -> str:
    """A label's name without spaces at its ends, in Unicode's composed form."""
    return unicodedata.normalize("NFC", name.strip())


def class_id(label: str, labels: Sequence[str]) -> int | None:
    """The class id that a label is written as: a whole number, `LABEL_1`, or of two classes true and false."""
    label = label.strip()
    found = NUMBER.fullmatch(label) or PLACEHOLDER.fullmatch(label)
    number = int(found[1]) if found else BOOLEANS.get(label.lower(), -1) if len(labels) == 2 else -1
    return number if 0 <= number < len(labels) else None


def apply_names(file: FileLabels, names: Sequence[str], what: str) -> dict[str, str]:
    """Each label that is a number as the name that stands at it in `names`; `what` gives them. All or none."""
    numbers = {label: NUMBER.fullmatch(label.strip()) for label in file.places}
    named = {label: names[int(n[1])] for label, n in numbers.items() if n and int(n[1]) < len(names)}
    bad = next((label for label in file.places if not named.get(label)), None)
    if bad is None:
        return named
    known = set(map(clean_name, file.places)) <= set(map(clean_name, names))
    if known or (what != NAMED_BY_USER and not any(map(is_integer, file.places))):
        return {}
    raise InputError(
        f"{file.places[bad]}: label {shown(bad)} is no number that has a name; {what} names 0 to {len(names) - 1}: "
        f"{listed(names)}" + ("" if any(map(is_integer, file.places)) else "; if labels are names, leave it out")
    )


def check_no_gap(file: FileLabels) -> None:
    """Refuse labels that are what a data frame writes for a value that is not there: they would become a class."""
    gap = next((label for label in file.places if label.strip() in GAPS), None)
    if gap is not None:
        raise InputError(
            f"{file.places[gap]}: label {shown(gap)} is what data frames write for an empty cell, and would become a "
            "class: leave rows without a label out, or give the class another name"
        )
    error = next((label for label in file.places if label.strip() in SHEET_ERRORS), None)
    if error is not None:
        raise InputError(
            f"{file.places[error]}: label {shown(error)} is an error of a spreadsheet, and would become a class: "
            "correct the cell, or leave the row out"
        )


def check_new_names(file: FileLabels) -> None:
    """Refuse labels that make no classes of a new teacher.

    These are empty cells, negative numbers, lists that were written as text, and names that look alike: which differ in
    case, spaces or invisible characters only.
    """
    check_no_gap(file)
    below = next((label for label in file.places if label.strip().startswith("-") and is_integer(label)), None)
    if below is not None:
        raise InputError(
            f"{file.places[below]}: label {shown(below)} is a negative number, which is no class id, and often marks a "
            "row without a label: leave such rows out, or write names in place of numbers"
        )
    written = next((label for label in file.places if COLLECTION.fullmatch(label.strip())), None)
    if written is not None:
        raise InputError(
            f"{file.places[written]}: label {shown(written)} is a list or an object written as text, and would become "
            'a class: write one name, or the labels of a text as JSON has a list, ["a", "b"]'
        )
    alike: dict[str, str] = {}
    for label, place in file.places.items():
        first = alike.setdefault(_look(label), label)
        if clean_name(first) != clean_name(label):
            what = "case, spaces or invisible characters"
            if clean_name(first).casefold() == clean_name(label).casefold():
                what = "case"
            elif is_code(first) or is_code(label):
                what = "zeros before it"
            raise InputError(
                f"{place}: label {shown(label)} differs from {shown(first)} in {what} only, so that they would be two "
                "classes; write one of them in all rows"
            )


def is_code(label: str) -> bool:
    """Whether a label is a number with zeros before it: a name such as 007, not the number 7."""
    return LEADING_ZEROS.match(label.strip()) is not None


def _look(label: str) -> str:
    """A label as a reader sees it: in one case, without invisible characters or zeros before it, its spaces alike."""
    visible = "".join(c for c in clean_name(label) if unicodedata.category(c) != "Cf")
    return LEADING_ZEROS.sub("", " ".join(visible.split()).casefold())


def made_of_others(labels: Sequence[str]) -> list[str]:
    """Labels all of whose parts are labels too: several that spaces, a slash or a plus join may be meant."""
    known = set(labels)
    return [label for label in labels if len(parts := OF_OTHERS.split(label)) > 1 and known.issuperset(parts)]


def check_sets(file: FileLabels) -> None:
    """Refuse sets of which a label is several others, joined in another way than those of the other rows."""
    known = set(map(clean_name, file.places))
    for label, place in file.places.items():
        parts = [part for part in SEVERAL.split(clean_name(label)) if part]
        if len(parts) > 1 and known.issuperset(parts):
            raise InputError(
                f"{place}: label {shown(label)} is {len(parts)} labels in one, and these stand alone in other rows: "
                "part labels by one separator in all rows, or write lists"
            )


def check_single(file: FileLabels, names: Iterable[str]) -> None:
    """Refuse data of which a label is several of the names, joined."""
    known = set(names)
    for label, place in file.places.items():
        parts = [part for part in SEVERAL.split(label) if part]
        if len(parts) > 1 and known.issuperset(parts):
            raise InputError(
                f"{place}: label {shown(label)} is {len(parts)} labels in one: multi-label data; the teacher gives one "
                "label for each text: one is needed, or a teacher of label sets (`edgepack finetune` makes one)"
            )


def _conventions(file: FileLabels, labels: Sequence[str]) -> list[Convention]:
    """What all labels of the file fit; an error where that is nothing."""
    by_name = _matcher(labels)
    found = []
    if all(by_name(label) is not None for label in file.places):
        found.append("names")
    if all(class_id(label, labels) is not None for label in file.places):
        found.append("class ids")
    if not found:
        raise OtherLabels(_mismatch(file, labels))
    return found


def _matcher(labels: Sequence[str]) -> Callable[[str], int | None]:
    exact = {name: i for i, name in enumerate(labels)}
    clean = _unambiguous(labels, clean_name)
    folded = _unambiguous(labels, lambda name: clean_name(name).casefold())
    numbers = _unambiguous(labels, plain_number)

    def match(label: str) -> int | None:
        for known, key in (
            (exact, label),
            (clean, clean_name(label)),
            (folded, clean_name(label).casefold()),
            (numbers, plain_number(label)),
        ):
            if key in known:
                return known[key]
        return None

    return match


def plain_number(name: str) -> str:
    """A name that is a whole number without what a data frame puts behind it, 1.0 as 1; any other as it is."""
    found = NUMBER.fullmatch(name.strip())
    return str(int(found[1])) if found else clean_name(name)


def _unambiguous(labels: Sequence[str], key: Callable[[str], str]) -> dict[str, int]:
    keys = [key(name) for name in labels]
    return {k: i for i, k in enumerate(keys) if keys.count(k) == 1}


def _read(file: FileLabels, options: list[Convention], labels: Sequence[str]) -> Reading:
    by_name = _matcher(labels)
    names = {label: i for label in file.places if (i := by_name(label)) is not None}
    numbers = {label: i for label in file.places if (i := class_id(label, labels)) is not None}
    if options[0] == "class ids":
        known = {number: labels[number] for number in sorted(set(numbers.values()))}
        meaning = "" if is_unnamed(labels) else f": {listed(f'{n} = {shown_name(name)}' for n, name in known.items())}"
        return Reading(numbers, (Note(f"{file.source}: labels are read as class ids{meaning}"),))
    notes = []
    if len(options) > 1 and names != numbers:
        label = next(label for label in names if names[label] != numbers[label])
        notes.append(
            Note(
                f"{file.source}: labels {listed(sorted(file.places))} are names of the teacher's, and class ids too; "
                f"read as names, so {label!r:.60} is class id {names[label]}, not {numbers[label]}. "
                "If they are class ids, write the names in their place",
                warning=True,
            )
        )
    other = [
        f"{shown_name(x)} = {shown_name(labels[i])}"
        for x, i in names.items()
        if plain_number(x) != plain_number(labels[i])
    ]
    if other:
        notes.append(Note(f"{file.source}: labels are matched ignoring case: {listed(other)}"))
    return Reading(names, tuple(notes))


def shown_name(name: str) -> str:
    """A name for a message that puts it into a list."""
    return listed([name])


def is_gap(value: object) -> bool:
    """Whether a cell is empty, or holds what a data frame writes in place of that."""
    if isinstance(value, str):
        return not value.strip() or value.strip() in GAPS
    return value is None or value != value  # NaN differs from itself


def is_integer(label: str) -> bool:
    """Whether a label is written as a whole number, of either sign."""
    return bool(re.fullmatch(r"[+-]?\d+(\.0+)?", label.strip()))


def _mismatch(file: FileLabels, labels: Sequence[str]) -> str:
    """Why the labels fit neither as names nor as class ids, at the first that does not."""
    by_name = _matcher(labels)
    named = [label for label in file.places if by_name(label) is not None]
    numbered = [label for label in file.places if class_id(label, labels) is not None]
    as_ids = len(numbered) > len(named) and not any(class_id(label, labels) is None for label in named)
    fitting = set(numbered if as_ids else named)
    label = next(label for label in file.places if label not in fitting)
    hint = "names or class ids must agree"
    if is_unnamed(labels):
        hint = (
            "nobody named the teacher's classes: write their names into id2label of its config.json, in the order of "
            "its training, or class ids into the data"
        )
    if label in numbered and named:
        hint = f"one row has a class id, another a name ({shown_name(named[0])}): write all labels in one way"
    elif as_ids and is_integer(label):
        hint = (
            f"as class ids, 0 to {len(labels) - 1} are allowed; -1 often marks rows without a label, -100 tokens "
            "without a tag: leave them out"
        )
        if all(map(is_integer, file.places)) and len(file.places) == len(labels):
            hint = (
                f"as class ids, 0 to {len(labels) - 1} are allowed; there are as many numbers as classes, and nothing "
                "says which is which: write names in their place"
            )
    if label.strip() in (*GAPS, *MARKS_OF_NONE):
        hint = "an empty cell, or a text without a label, is written so: leave such rows out"
    check_single(file, labels)
    return (
        f"{file.places[label]}: label {shown(label)} is none of the teacher's; data: {listed(sorted(file.places))}; "
        f"teacher: {listed(labels)}; {hint}"
    )


def _contradiction(files: Sequence[FileLabels], options: Sequence[Iterable[Convention]]) -> str:
    said = "; ".join(
        f"{file.source}: {listed(sorted(file.places))} can only be {' or '.join(option)}"
        for file, option in zip(files, options, strict=True)
    )
    return f"labels are written in two ways: {said}; write names, or class ids from 0, in all of them"
