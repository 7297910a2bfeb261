"""The page in Chromium: axe finds nothing, a phone is wide enough, nothing is asked for. Needs npm's packages."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edgepack.bundle.verdict import Check
from edgepack.report import write_report
from tests.pages import REPOSITORY
from tests.report.made import HOSTILE, analysis, verdict, write_build

PROGRAM = "tests/javascript/axe.mjs"


@pytest.mark.needs_node
def test_axe(tmp_path: Path, require: Callable[[str, str], None]) -> None:
    modules = Path(os.environ.get("EDGEPACK_NODE", REPOSITORY / "tests/javascript"))
    if shutil.which("node") is None or shutil.which("chromium") is None:
        require("node", "node or chromium is not on the path")
    if not (modules / "node_modules/axe-core").is_dir() or not (modules / "node_modules/playwright-core").is_dir():
        require(
            "node", f"axe-core and playwright-core are not in {modules}; run npm install there, or set EDGEPACK_NODE"
        )
    failed = Check(name="retention", status="failed", value=0.9, limit=0.98, reason=f"low, {HOSTILE} " + "w" * 300)
    long = analysis([f"a_very_long_label_of_number_{'x' * i}{i}" for i in range(18)])
    builds = {
        "whole": [verdict(target, analysis=analysis()) for target in ("android-onnx", "android-torchscript")],
        "failed": [verdict("android-onnx", passed=False, checks=[failed], analysis=long, shipped_bytes=5_000_000)],
        "bare": [verdict("ios-coreml", metrics={}, retention=None, parity=[], speed={})],
    }
    pages = [write_report(write_build(tmp_path / name, verdicts))[1] for name, verdicts in builds.items()]
    program = shutil.copy(REPOSITORY / PROGRAM, tmp_path)  # node looks for modules where the program lies
    (tmp_path / "node_modules").symlink_to(modules / "node_modules")
    done = subprocess.run(["node", program, *pages], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
