"""The built-in recipes by name, and what each is. Nothing heavy is imported: reading one whole needs torch."""

from __future__ import annotations

from importlib.resources import files

from edgepack.bounded import parse_toml

FOLDER = files("edgepack.build") / "recipes"
SUFFIX = ".toml"
EFFORTS = ("quick", "standard", "max")
_OTHERS = sorted({entry.name.removesuffix(SUFFIX) for entry in FOLDER.iterdir() if entry.name.endswith(SUFFIX)})
BUILT_IN = (*EFFORTS, *(name for name in _OTHERS if name not in EFFORTS))


def built_in_text(name: str) -> str:
    """The file of the built-in recipe called `name`, which is one of `BUILT_IN`."""
    return (FOLDER / f"{name}{SUFFIX}").read_text(encoding="utf-8")


def list_recipes() -> dict[str, str]:
    """The built-in recipes: name → what it is, the three efforts first."""
    return {name: str(parse_toml(built_in_text(name))["summary"]) for name in BUILT_IN}
