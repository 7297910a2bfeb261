"""Copies an app's template from `sample_apps/` and puts the user's values where its defaults stand.

A template is a project that builds as it is, so there are no placeholders: `dev.edgepack.sample` is a real id, and
packaging replaces it, file by file, where the app's module says that it stands. A default that is not found is a
defect of edgepack, not of the user, and no result is written: an app with half its names replaced is worse than none.
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path

from edgepack.errors import MissingDependency

# What builds and tools leave in a checkout's sample_apps/; also left out of the wheel (pyproject.toml).
BUILD_OUTPUTS = (
    ".build",
    ".cxx",
    ".gradle",
    ".idea",
    ".kotlin",
    ".swiftpm",
    "DerivedData",
    "__pycache__",
    "build",
    "local.properties",
    "node_modules",
    "xcuserdata",
    ".DS_Store",
)


def copy_template(app: str, folder: Path, replacements: Mapping[str, Mapping[str, str]]) -> None:
    """Copy `sample_apps/<app>` to `folder`; `replacements`: relative path → default in the file → what takes its place.

    Values go in as they are: whoever calls escapes them for the file's format.
    """
    with as_file(files("edgepack") / "_data" / "sample_apps") as packed:
        try:
            shutil.copytree(find(app, packed), folder, ignore=shutil.ignore_patterns(*BUILD_OUTPUTS))
        except shutil.Error as e:  # it collects what failed, as triples of source, copy and reason
            raise OSError(errno.EIO, str(e.args[0][0][2])) from e
    for name, values in replacements.items():
        path = folder / name
        path.write_text(replaced(path.read_text(encoding="utf-8"), values, f"{app}/{name}"), encoding="utf-8")


def find(name: str, packed: Path) -> Path:
    """A file or folder of `sample_apps/`: in the installed package (`packed`), else in a source checkout."""
    found = next((root / name for root in (packed, checkout()) if (root / name).exists()), None)
    if found is None:
        raise MissingDependency(
            "edgepack is installed without its sample apps; run: pip install --force-reinstall edgepack"
        )
    return found


def read_template(name: str) -> str:
    """The text of a file of `sample_apps/`."""
    with as_file(files("edgepack") / "_data" / "sample_apps") as packed:
        return find(name, packed).read_text(encoding="utf-8")


def checkout() -> Path:
    """`sample_apps/` of a source checkout."""
    return Path(__file__).parents[2] / "sample_apps"


def replaced(text: str, values: Mapping[str, str], where: str) -> str:
    """`text` with every default replaced, in one pass; `ValueError` where one does not occur."""
    missing = [old for old in values if old not in text]
    if missing:
        raise ValueError(f"template {where} does not contain {missing[0]!r}, which packaging replaces")
    longest_first = sorted(values, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, longest_first)))
    return pattern.sub(lambda match: values[match.group()], text) if values else text
