"""The teacher's outputs, gigabytes and minutes, handed from build to build of a table.

A build takes those whose key is its own, so nothing is lent that it would not have made itself.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from edgepack.bundle.manifest import load_build_manifest
from edgepack.workspace import HIDDEN_FOLDER, stage_label

KEPT = 2  # gigabytes each


def lend(output: Path, kept: Path) -> None:
    """Put what earlier builds set aside in `kept` into the folder of a build that begins."""
    stages = output / HIDDEN_FOLDER / "stages"
    for folder in kept.glob("teacher*"):
        if not (stages / folder.name).exists():
            shutil.copytree(folder, stages / folder.name, copy_function=os.link)


def set_aside(output: Path, kept: Path) -> None:
    """Move what a finished build used to `kept`; the `KEPT` last used stay there."""
    kept.mkdir(parents=True, exist_ok=True)
    for stage in load_build_manifest(output).stages:
        label = stage_label(stage["name"], stage["key"])
        if label.startswith("teacher"):
            shutil.rmtree(kept / label, ignore_errors=True)
            (output / HIDDEN_FOLDER / "stages" / label).rename(kept / label)
            os.utime(kept / label)
    for folder in sorted(kept.iterdir(), key=lambda folder: folder.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(folder)
