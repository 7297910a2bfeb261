"""Names of labels as a person gives them: a comma list, a file with one on each line, or JSON of either kind."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from edgepack.errors import InputError, shown
from edgepack.task.reading.labels import NUMBER, clean_name
from edgepack.task.reading.table import listed

HEADERS = ("label", "labels", "name", "names", "class", "classes", "id2label")


def read_names(text: str, fewest: int = 2) -> tuple[str, ...]:
    """Names of labels, those of integers in the order of their numbers.

    `text`: a file with one on each line, or a comma list. In either place JSON does too: a list of names, or an object
    as config.json has `id2label` or `label2id`.
    """
    path = Path(text)
    try:
        is_file = path.is_file()
        content = path.read_text("utf-8-sig") if is_file else text
    except (OSError, UnicodeDecodeError) as e:
        raise InputError(f"labels {shown(text)}: not readable as UTF-8 text, one name on each line") from e
    names = _json_names(content, text) if content.lstrip()[:1] in ("[", "{") else None
    if names is None:
        names = [clean_name(n) for n in (content.rstrip().splitlines() if is_file else content.rstrip(" ,").split(","))]
        names = names if any(names) else []
        _check_written(names, text, is_file)
    if len(set(names)) != len(names) or len(names) < fewest:
        lacking = "; there is no such file" if not is_file and len(names) == 1 else ""
        raise InputError(
            f"labels {shown(text)}: {len(set(names))} different names; {fewest} or more are needed, each once, parted "
            f"by commas, or a file with one on each line{lacking}"
        )
    return tuple(names)


def _json_names(content: str, text: str) -> list[str] | None:
    """The names of a JSON list, or of an object of numbers and names; None where the text is no JSON."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, dict):
        pairs = [(value, key) if _is_number(value) else (key, value) for key, value in found.items()]
        numbers = {int(number): name for number, name in pairs if _is_number(number)}
        if len(numbers) != len(found) or set(numbers) != set(range(len(found))):
            raise InputError(f"labels {shown(text)}: each name needs a number of its own, from 0 to {len(found) - 1}")
        found = [numbers[number] for number in range(len(numbers))]
    if not all(isinstance(name, str) and name.strip() for name in found):
        raise InputError(f"labels {shown(text)}: a list of names is needed, none of them empty")
    return [clean_name(name) for name in found]


def _is_number(value: object) -> bool:
    return NUMBER.fullmatch(str(value)) is not None and not isinstance(value, bool)


def _check_written(names: Sequence[str], text: str, is_file: bool) -> None:
    """`InputError` for names with their numbers before them, and for a header: they would be parts of names."""
    if len(names) > 1 and all(re.match(rf"{number}\s*[=:\t]\s*\S", name) for number, name in enumerate(names)):
        raise InputError(f"labels {shown(text)}: numbers stand before the names ({listed(names)}): leave them out")
    if "" in names:
        raise InputError(
            f"labels {shown(text)}: the name of number {names.index('')} is empty, and the names behind it would be "
            "those of other numbers: write a name for each number from 0"
        )
    if is_file and names and names[0].lower() in HEADERS:
        raise InputError(f"labels {shown(text)}: its first line is {shown(names[0])}, a header: names alone are needed")
