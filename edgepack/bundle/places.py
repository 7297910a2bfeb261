"""Where a finished build's inputs are now: recorded relative to its output, so that the whole tree may move.

A local path is recorded as the way from the output folder to it, beginning with `./` or `../`; anything else is a hub
id. A later command looks there first, then under the path as it was given, or where the user says that it is.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from edgepack.errors import InputError, bare, shown
from edgepack.workspace import HIDDEN_FOLDER


def recorded_place(source: str, output: Path) -> str:
    """`source` relative to `output` if it is a local path, else as it is."""
    path = Path(source)
    if not path.exists():
        return source
    way = Path(os.path.relpath(path.resolve(), output.resolve())).as_posix()
    return way if way.startswith("../") else f"./{way}"


def why_no_build(folder: Path, manifest: str) -> str:
    """What to say of a folder without a build's manifest: that a build stopped in it, or that there was none."""
    if (folder / HIDDEN_FOLDER).is_dir():
        return f"{folder} has no {manifest}: what writes it was stopped or still runs; give the same command again"
    return f"{folder} is no build: it has no {manifest}; give the -o folder of `edgepack build`"


def find_place(output: Path, inputs: dict[str, Any], name: str, now: str | None, flag: str) -> str:
    """Where the input `name` of the build in `output` is: `now` where the user says so with `flag`, else as recorded.

    `inputs`: of the build's manifest.
    """
    if now is not None:
        return now
    recorded = inputs["request"][name]
    given = inputs.get(name, {}).get("path", recorded)
    if not isinstance(recorded, str) or not isinstance(given, str):
        raise InputError(f"{output}: its record of the input {name} is {shown(recorded)}; say where it is with {flag}")
    if not recorded.startswith(("./", "../")):  # a hub id, or the record of an older build
        return recorded
    beside = Path(os.path.normpath(output.resolve() / recorded))
    for path in (beside, Path(given)):
        if path.exists():
            return str(path)
    raise InputError(
        f"{output}: the build's {name} is not at {shown(str(beside), 200)} any more; say where it is with {flag}"
    )


def check_same(name: str, place: str, sha256: str, recorded: str, flag: str) -> None:
    """`InputError` where what is at `place` is not what the build had."""
    if sha256 != recorded:
        raise InputError(
            f"{bare(place, 200)}: is not the {name} that the build had (sha256 {sha256[:12]}…, {recorded[:12]}… "
            f"recorded); say where that is with {flag}, or run `edgepack build` on what is there now"
        )
