"""Recipes from TOML files: the built-in ones of `recipes/`, and a user's own.

A file holds the fields of `Recipe` as keys, and `summary`, a line of what it is. With `base`, a built-in recipe's name,
it says only what differs: tables are merged key by key, lists are replaced. `false` switches off what is optional. A
file is read whole or refused in one line that names the file, the key and what is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

from edgepack.bounded import Place, parse_toml, read_file, read_plain
from edgepack.build.recipe_names import BUILT_IN, SUFFIX, built_in_text
from edgepack.build.recipe_settings import Recipe, recipe_record
from edgepack.compress.distil.objective import LOSSES
from edgepack.compress.distil.signals import Loss
from edgepack.errors import InputError, did_you_mean, shown
from edgepack.train import Phase

LARGEST = 1_000_000  # bytes of a recipe's file

Table = Mapping[str, Any]


@dataclass(frozen=True)
class RecipeFile:
    """A recipe with its name and the line that says what it is; `changes`: what it says differs from its base."""

    name: str
    summary: str
    base: str | None
    changes: Table
    recipe: Recipe

    def to_record(self) -> dict[str, Any]:
        """Every setting, and the summary."""
        return {"summary": self.summary, **recipe_record(self.recipe)}


def open_recipe(name: str) -> RecipeFile:
    """A built-in recipe by name, or the file of a path that ends with .toml."""
    if name in BUILT_IN:
        return built_in_file(name)
    if not name.lower().endswith(SUFFIX):
        hint = did_you_mean(name, BUILT_IN)
        raise InputError(f"recipe is {shown(name)}; allowed: a .toml file, or one of {', '.join(BUILT_IN)}{hint}")
    path = Path(name)
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise InputError(f"{name}: {size:,} bytes; a recipe has {LARGEST:,} at most")
        text = read_file(path, LARGEST, name).decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as e:
        raise InputError(f"{name}: recipe is not UTF-8 (byte {e.start}); save it as UTF-8") from e
    except OSError as e:
        raise InputError(f"{name}: recipe does not read: {e.strerror}; give a .toml file or a built-in name") from e
    return parse_recipe(path.name, text)


@cache
def built_in_file(name: str) -> RecipeFile:
    """The built-in recipe called `name`, which is one of `BUILT_IN`."""
    return parse_recipe(name, built_in_text(name))


def read_built_in(name: str) -> Recipe:
    """The settings of the built-in recipe called `name`, which is one of `BUILT_IN`."""
    return built_in_file(name).recipe


def parse_recipe(name: str, text: str) -> RecipeFile:
    """A recipe from its file's text; `name` stands in its errors."""
    place = Place(name)
    try:
        table = parse_toml(text)
    except ValueError as e:
        raise InputError(f"{name}: not valid TOML: {e}; correct the file, or start from `edgepack recipes show`") from e
    own = dict(table)
    summary, base = own.pop("summary", ""), own.pop("base", None)
    if not isinstance(summary, str):
        raise place.inside("summary").error(f"is {shown(summary)}; it must be a string")
    if base is not None and base not in BUILT_IN:
        raise place.inside("base").error(f"is {shown(base)}; allowed: {', '.join(BUILT_IN)}")
    whole = merged(whole_table(base), own) if base is not None else own
    try:
        recipe: Recipe = read_table(Recipe, whole, place)
    except InputError as e:
        raise InputError(str(e).replace("recipe: ", f"{name}: ", 1) if str(e).startswith("recipe: ") else str(e)) from e
    return RecipeFile(name, summary, base, own, recipe)


def whole_table(name: str) -> Table:
    """All that a built-in recipe's file and its bases say, as one table."""
    found = built_in_file(name)
    return merged(whole_table(found.base), found.changes) if found.base is not None else found.changes


def merged(base: Table, changes: Table) -> Table:
    """`base` with the keys of `changes`; tables of both are merged, all else is replaced."""
    both = dict(base)
    for key, value in changes.items():
        before = both.get(key)
        both[key] = merged(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
    return both


def read_table(kind: type, table: Any, place: Place) -> Any:
    """An instance of the dataclass `kind` from its fields by name."""
    if not isinstance(table, Mapping):
        raise place.error(f"is {shown(table)}; it must be a table")
    known = {field.name: field for field in fields(kind)}
    allowed = [*known, *(("base", "summary") if kind is Recipe else ())]
    for key in table:
        if key not in known:
            hint = did_you_mean(str(key), allowed, 0.6)
            raise place.inside(str(key)).error(f"is unknown; allowed: {', '.join(allowed)}{hint}")
    missing = [name for name, field in known.items() if _is_required(field) and name not in table]
    if missing:
        hint = ', or base = "standard"' if kind is Recipe else ""
        raise place.inside(missing[0]).error(f"is missing; give it{hint}")
    hints = get_type_hints(kind)
    values = {key: read_value(hints[key], value, place.inside(key)) for key, value in table.items()}
    try:
        return kind(**values)
    except InputError as e:
        if str(e).startswith("recipe: "):
            raise
        raise InputError(f"{place.file}: {place.key}.{str(e).partition(': ')[2]}") from e  # WHAT: KEY is VALUE; …


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def read_value(hint: Any, value: Any, place: Place) -> Any:
    """A value of the type `hint`: a plain one, a dataclass, phases, losses; `false` where it may be None."""
    choices = get_args(hint)
    if type(None) in choices:
        if value is False:
            return None
        hint = next(choice for choice in choices if choice is not type(None))
    if hint in (tuple[Phase, ...], tuple[Loss, ...]):
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise place.error(f"is {shown(value)}; it must be a list of tables")
        read = read_loss if hint == tuple[Loss, ...] else read_phase
        return tuple(read(each, place.inside(number)) for number, each in enumerate(value))
    if is_dataclass(hint) and isinstance(hint, type):
        return read_table(hint, value, place)
    return read_plain(hint, value, place)


def read_phase(table: Any, place: Place) -> Phase:
    """A stretch of the training with its losses."""
    phase: Phase = read_table(Phase, table, place)
    return phase


def read_loss(table: Any, place: Place) -> Loss:
    """A loss by its name, with its settings."""
    if not isinstance(table, Mapping) or not isinstance(table.get("loss"), str):
        raise place.error(f'is {shown(table)}; it must be a table such as {{ loss = "soft_targets", weight = 1.0 }}')
    name = table["loss"]
    if name not in LOSSES:
        raise place.inside("loss").error(f"is {shown(name)}; allowed: {', '.join(LOSSES)}")
    loss: Loss = read_table(LOSSES[name], {key: value for key, value in table.items() if key != "loss"}, place)
    return loss
