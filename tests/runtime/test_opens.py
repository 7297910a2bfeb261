"""A process that opens a model again and again does not grow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgepack.export import export
from edgepack.target import load_target
from tests.evidence.world import make_student

# opens a model 20 times, keeps the sessions or not, and prints by how many bytes the last 15 opens made it grow
PROGRAM = """
import os, sys
from pathlib import Path
from edgepack.runtime.onnxruntime import load
model, cache, keeps = Path(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2] else None, sys.argv[3] == "keeps"
kept, sizes = [], []
for _ in range(20):
    session = load(model, cache=cache)
    kept += [session] if keeps else []
    sizes.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    del session
print(sizes[-1] - sizes[4])
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of a megabyte."""
    student = make_student(vocab_size=60_000, type_vocab_size=2, num_labels=2)
    return export(student, load_target("android-onnx"), tmp_path_factory.mktemp("model")).path


def grows_by(model: Path, cache: Path | None, keeps: bool = False) -> int:
    command = [sys.executable, "-c", PROGRAM, str(model), str(cache or ""), "keeps" if keeps else ""]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize("cached", [False, True], ids=["shipped", "kept"])
def test_twenty_opens_do_not_grow(model: Path, tmp_path: Path, cached: bool) -> None:
    assert grows_by(model, tmp_path / "cache" if cached else None) < 3 * model.stat().st_size


def test_sessions_that_are_kept_are_seen(model: Path) -> None:
    assert grows_by(model, None, keeps=True) > 10 * model.stat().st_size
