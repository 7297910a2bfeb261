"""Builds that get a SIGKILL, in every stage and at random moments, and end with the same bytes.

`EDGEPACK_KILLS=200 pytest -m slow tests/builds/test_killed.py -k random -s` kills so often, at other moments for
each `EDGEPACK_KILL_SEED`, and prints what was being done.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from edgepack.build.flow import build as run_build
from edgepack.bundle.manifest import load_manifest
from edgepack.errors import InputError
from edgepack.workspace import sha256_file
from tests.builds.forked import start_build, start_bundle
from tests.builds.tiny import QUIET, TARGETS, Files, hashes, request

STAGES = (
    "teacher",
    "plan",
    "carve",
    "distil",
    "prune",
    "quantize",
    "export-android-onnx",
    "export-android-torchscript",
    "validate-android-onnx",
    "validate-android-torchscript",
    "bundle",
)
KILLS = int(os.environ.get("EDGEPACK_KILLS", "2"))


def kill_in_a_new_stage(killed: set[str], files: Files, output: Path) -> str | None:
    """Start a build and SIGKILL it in the first stage that no earlier one was killed in; None if it came to its end."""
    process = start_build(files, output, timed=True)
    scratch, found = output / ".edgepack" / "scratch", None
    try:
        while found is None and process.is_alive():
            time.sleep(0.002)
            works = [stage for stage in STAGES if stage not in killed and any(scratch.glob(f"{stage}-*/*"))]
            if "bundle" not in killed and any(output.glob("bundles/.*/*")):
                works.append("bundle")
            found = next(iter(works), None)
        if found is not None:
            time.sleep(0.05)
            process.kill()
    finally:
        process.join()
    return found if process.exitcode == -signal.SIGKILL else None


@pytest.mark.slow
def test_a_build_killed_in_each_stage_ends_with_the_same_bytes(files: Files, unbroken: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    killed: set[str] = set()
    while (stage := kill_in_a_new_stage(killed, files, output)) is not None:
        killed.add(stage)
    assert killed >= {"distil", "prune", "quantize", "validate-android-onnx", "bundle"}  # others may be over too soon
    assert hashes(output) == hashes(unbroken)
    assert sorted(path.name for path in (output / "bundles").iterdir()) == sorted(TARGETS)  # nothing half-written left


def half_written(output: Path) -> list[str]:
    """Bundles that are there and not whole."""
    found = []
    for manifest in output.glob("bundles/[!.]*/edgepack.json"):
        folder = manifest.parent
        records = load_manifest(folder).files
        found += [f"{folder.name}/{r.path}" for r in records if sha256_file(folder / r.path) != r.sha256]
    return found


def what_was_done(output: Path) -> str:
    """The stage that was worked on when a process ended."""
    if any(output.glob("bundles/.*")):
        return "bundle"
    files = [path for path in output.glob(".edgepack/scratch/**/*") if path.is_file()]
    if not files:
        return "between stages"
    newest = max(files, key=lambda path: path.stat().st_mtime)
    return newest.relative_to(output / ".edgepack" / "scratch").parts[0].rpartition("-")[0]


def end_well(process: BaseProcess) -> None:
    process.join()
    assert process.exitcode == 0


@pytest.mark.slow
def test_kills_at_random_moments_change_nothing(files: Files, unbroken: Path, tmp_path: Path) -> None:
    """Builds that are killed again and again; finished ones are bundled again and killed at that, too."""
    chooser, output = random.Random(int(os.environ.get("EDGEPACK_KILL_SEED", "0"))), tmp_path / "out"
    began = time.monotonic()
    end_well(start_build(files, output, timed=False))
    longest = time.monotonic() - began
    shutil.rmtree(output)
    killed: Counter[str] = Counter()
    while killed.total() < KILLS:
        done = (output / "edgepack.json").is_file()
        process = start_bundle(output) if done else start_build(files, output, timed=False)
        process.join(chooser.uniform(0, longest / 2 if done else longest))
        if process.is_alive():
            process.kill()
            process.join()
            killed[what_was_done(output) if not done else "bundle again"] += 1
        assert half_written(output) == []
        if done and chooser.random() < 0.5:
            shutil.rmtree(output)
    print(dict(killed))
    end_well(start_build(files, output, timed=False))
    assert hashes(output) == hashes(unbroken)
    assert sorted(path.name for path in (output / "bundles").iterdir()) == sorted(TARGETS)


def test_two_builds_at_once_are_one_and_a_line(files: Files, unbroken: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    first = start_build(files, output, timed=False)
    try:
        lock = output / ".edgepack" / "lock"
        while first.is_alive() and not (lock.is_file() and lock.read_text().strip()):
            time.sleep(0.01)
        with pytest.raises(InputError, match=rf"out is in use by process {first.pid}; wait for it"):
            run_build(request(files, output), QUIET)
    finally:
        end_well(first)
    assert hashes(output) == hashes(unbroken)
