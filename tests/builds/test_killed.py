"""Builds that get a SIGKILL in every stage and end with the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgepack.build.flow import build as run_build
from edgepack.train import loop
from tests.builds.tiny import EXAMPLES_SEEN, QUIET, TARGETS, Files, hashes, request

STAGES = (
    "teacher",
    "plan",
    "carve",
    "distil",
    "prune",
    "quantize",
    "export-android-onnx",
    "validate-android-onnx",
    "bundle",
)

# runs a build with the tiny recipe in a process of its own, to be killed
DRIVER = f"""
import sys
from dataclasses import replace
from pathlib import Path
from edgepack.build import recipe
from edgepack.evidence import measure
from edgepack.train import loop
recipe.RECIPES["quick"] = replace(
    recipe.RECIPES["quick"], examples_seen={EXAMPLES_SEEN}, batch_size=16, prune_ratio=2.0
)
loop.CHECKPOINT_SECONDS = 0.0
measure.REPEATS, measure.RUNS = 1, 2
from edgepack.build.flow import build
from edgepack.console import Console
from edgepack.build.inputs import BuildRequest
teacher, data, evaluation, output = sys.argv[1:]
build(
    BuildRequest(teacher, data, evaluation, 60_000, {TARGETS!r}, Path(output), effort="quick", max_drop=0.3),
    Console(quiet=True),
)
"""


def kill_in(stage: str, files: Files, output: Path) -> bool:
    """Start a build and SIGKILL it once `stage` is being worked on; False if it was too quick to be caught."""
    arguments = [sys.executable, "-c", DRIVER, files.teacher, files.train, files.evaluation, str(output)]
    process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
    scratch = output / ".edgepack" / "scratch"
    try:
        while process.poll() is None:
            if any(scratch.glob(f"{stage}-*/*")) or (stage == "bundle" and any(output.glob("bundles/.*/*"))):
                time.sleep(0.05)
                os.kill(process.pid, signal.SIGKILL)
                break
            time.sleep(0.002)
    finally:
        process.wait()
    return process.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    "stage", [pytest.param(s, marks=() if s in ("prune", "quantize") else pytest.mark.slow) for s in STAGES]
)
def test_a_killed_build_ends_with_the_same_bytes(
    stage: str, files: Files, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    killed = kill_in(stage, files, output)
    if stage in ("distil", "prune", "quantize", "validate-android-onnx", "bundle"):
        assert killed, "the stage was over before it could be killed"
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    run_build(request(files, output), QUIET)
    assert hashes(output) == hashes(unbroken)
    assert sorted(path.name for path in (output / "bundles").iterdir()) == sorted(TARGETS)  # nothing half-written left
