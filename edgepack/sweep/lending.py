"""The teacher's outputs, gigabytes and minutes, handed from build to build.

A build takes those whose key is its own, so nothing is lent that it would not have made itself. What is handed on is
hard links: no byte is copied, and a build that drops its own drops nobody else's. Without links nothing is lent.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from edgepack.bundle.manifest import load_build_manifest
from edgepack.workspace import HIDDEN_FOLDER, stage_label

KEPT = 2  # gigabytes each
STAGES = "teacher*"


def stages_of(output: Path) -> Path:
    """Where a build's finished stages are."""
    return output / HIDDEN_FOLDER / "stages"


def lend(output: Path, kept: Path) -> list[str]:
    """Put what earlier builds set aside in `kept` into the folder of a build that begins; the names of the stages."""
    return [folder.name for folder in kept.glob(STAGES) if link_folder(folder, stages_of(output) / folder.name)]


def set_aside(output: Path, kept: Path) -> None:
    """Have a build's finished teacher stages in `kept` too, where the `KEPT` last used stay."""
    for folder in stages_of(output).glob(STAGES):
        if link_folder(folder, kept / folder.name) or (kept / folder.name).exists():
            with suppress(OSError):  # another build made room
                os.utime(kept / folder.name)
    for folder in sorted(kept.glob(STAGES), key=last_used)[:-KEPT]:
        shutil.rmtree(folder, ignore_errors=True)


def last_used(folder: Path) -> float:
    """When a build set the stage aside; 0 of one that is gone."""
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0


def link_folder(source: Path, destination: Path) -> bool:
    """The files of `source` in `destination`, all at once; False where they are there, gone, or cannot be linked."""
    beside = destination.with_name(f".{destination.name}.{os.getpid()}.tmp")
    if destination.exists():
        return False
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, beside, copy_function=os.link)
        beside.rename(destination)
    except (OSError, shutil.Error):
        shutil.rmtree(beside, ignore_errors=True)
        return False
    return True


def return_unused(output: Path, lent: list[str]) -> None:
    """Remove what was lent to a build that is finished and took other outputs."""
    used = {stage_label(stage["name"], stage["key"]) for stage in load_build_manifest(output).stages}
    for name in set(lent) - used:
        shutil.rmtree(stages_of(output) / name, ignore_errors=True)
