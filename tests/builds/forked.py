"""Builds in processes of their own, to be killed.

They are forked from one that has imported what a build imports: imports would be most of their time.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

from edgepack.build import recipe
from edgepack.build.flow import build
from edgepack.cli import main
from edgepack.evidence import measure
from edgepack.train import loop
from tests.builds.tiny import QUIET, TINY, Files, request

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["edgepack.build.flow", "edgepack.build.single_stage", "tests.builds.tiny"])


def start_build(files: Files, output: Path, **changes: object) -> BaseProcess:
    """A build with the tiny recipe; `changes` are of its request."""
    return _started(_build, files, output, changes)


def start_bundle(output: Path) -> BaseProcess:
    """`edgepack bundle` of a finished build."""
    return _started(_bundle, output)


def _started(work: Callable[..., None], *arguments: object) -> BaseProcess:
    process = FORKS.Process(target=work, args=arguments)
    process.start()
    return process


def _build(files: Files, output: Path, changes: dict[str, object]) -> None:
    """Checkpoints are written a few times in each stage."""
    recipe.RECIPES["quick"] = TINY
    loop.CHECKPOINT_SECONDS = 0.25
    measure.REPEATS, measure.RUNS = 1, 2
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    build(request(files, output, **changes), QUIET)


def _bundle(output: Path) -> None:
    main(["bundle", str(output), "--quiet"])
