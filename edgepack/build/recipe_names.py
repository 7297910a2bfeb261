"""The built-in recipes by name, what each is, and each as `edgepack recipes show` prints it; nothing heavy is imported.

A recipe's settings are the fields of the methods that use them, which need torch. So what a built-in one prints is kept
in `recipes/shown.json`, which `python docs/generate_recipes.py` writes.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any, NamedTuple

from edgepack.bounded import parse_toml
from edgepack.errors import InputError, did_you_mean, shown

FOLDER = files("edgepack.build") / "recipes"
SUFFIX, SHOWN = ".toml", "shown.json"
EFFORTS = ("quick", "standard", "max")
_OTHERS = sorted({entry.name.removesuffix(SUFFIX) for entry in FOLDER.iterdir() if entry.name.endswith(SUFFIX)})
BUILT_IN = (*EFFORTS, *(name for name in _OTHERS if name not in EFFORTS))


class Shown(NamedTuple):
    """A recipe as a commented file, and as a record."""

    text: str
    record: dict[str, Any]


def built_in_text(name: str) -> str:
    """The file of the built-in recipe called `name`, which is one of `BUILT_IN`."""
    return (FOLDER / f"{name}{SUFFIX}").read_text(encoding="utf-8")


def list_recipes() -> dict[str, str]:
    """The built-in recipes: name → what it is, the three efforts first."""
    return {name: str(parse_toml(built_in_text(name))["summary"]) for name in BUILT_IN}


def shown_recipe(name: str) -> Shown:
    """The built-in recipe called `name`, which is one of `BUILT_IN`."""
    return Shown(**json.loads((FOLDER / SHOWN).read_text(encoding="utf-8"))[name])


def unknown_recipe(name: str) -> InputError:
    """What to say of a name that is none."""
    hint = did_you_mean(name, BUILT_IN)
    return InputError(f"recipe is {shown(name)}; allowed: a .toml file, or one of {', '.join(BUILT_IN)}{hint}")
