"""Sweeps of real builds: planned before anything is trained, killed and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgepack._version import __version__
from edgepack.bundle.sweep import SweepBuild, SweepRecord
from edgepack.errors import InputError
from edgepack.sweep import worker
from edgepack.sweep.check import plan_jobs
from edgepack.sweep.file import read_sweep
from edgepack.sweep.storage import Storage
from tests.builds.tiny import QUIET, Files

TEXT = """
budgets = {budgets}
targets = [["android-onnx"], ["android-onnx", "android-torchscript"]]
recipes = ["tiny.toml"]
[options]
max-drop = "30%"
[teachers.tiny]
model = {teacher!r}
data = {train!r}
eval = {evaluation!r}
"""
ONE_TARGET = TEXT.replace('[["android-onnx"], ["android-onnx", "android-torchscript"]]', '["android-onnx"]')
RECIPE = 'base = "quick"\nexamples_seen = 640\nbatch_size = 16\n'
# a sweep with the worker of tests, in a process of its own
DRIVER = """
import sys
from pathlib import Path
from edgepack.console import Console
from edgepack.sweep import worker
from edgepack.sweep.run import run_sweep
worker.MODULE = "tests.sweep.short_worker"
result = run_sweep(Path(sys.argv[1]), sys.argv[2], 2, None, Console())
print(result.table())
sys.exit(result.exit_code)
"""


def sweep_file(folder: Path, files: Files, budgets: str = '["60kB"]', text: str = TEXT) -> Path:
    (folder / "tiny.toml").write_text(RECIPE)
    path = folder / "sweep.toml"
    path.write_text(text.format(budgets=budgets, **files.__dict__))
    return path


def test_every_kind_of_build_is_planned(files: Files, tmp_path: Path) -> None:
    planned = plan_jobs(read_sweep(sweep_file(tmp_path, files, '["60kB", "90kB"]')).jobs, None, QUIET)
    assert len(planned) == 4
    for (_, budget, _, targets), plan in planned.items():
        assert set(plan.shipped_bytes) == set(targets)
        assert all(0 < count <= budget for count in plan.shipped_bytes.values())
    sizes = {key[3]: plan.shipped_bytes["android-onnx"] for key, plan in planned.items() if key[1] == 60_000}
    assert sizes["android-onnx",] > 0
    assert list(tmp_path.glob("out*")) == []


def test_what_a_plan_refuses_is_refused_with_the_builds_name(files: Files, tmp_path: Path) -> None:
    jobs = read_sweep(sweep_file(tmp_path, files, '["60kB", "3kB"]')).jobs
    with pytest.raises(InputError, match=r"^tiny-0.003MB-tiny-android-onnx-seed0: budget of 3000 bytes: no shape fits"):
        plan_jobs(jobs, None, QUIET)


@pytest.mark.slow
def test_a_sweep_that_was_killed_resumes_and_a_build_that_failed_is_tried_again(files: Files, tmp_path: Path) -> None:
    file, output = sweep_file(tmp_path, files, text=f"seeds = [0, 1]\n{ONE_TARGET}"), tmp_path / "out"
    names = [f"tiny-0.06MB-tiny-seed{seed}" for seed in (0, 1)]
    (tmp_path / "out-fail").touch()
    command = [sys.executable, "-c", DRIVER, str(file), str(output)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    training = output / "builds" / names[0] / ".edgepack" / "scratch"
    while not any(training.glob("distil-*/*")):
        assert process.poll() is None, "the sweep was over before it could be killed"
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    states = {b["name"]: b["status"] for b in json.loads((output / "sweep.json").read_text())["builds"]}
    log = (output / "logs" / f"{names[0]}.log").read_text()
    assert states == {names[0]: "built", names[1]: "failed"}
    assert f"{names[1]}: a build needs more memory than it may have" in done.stdout
    assert log.count("=== ") == 2
    assert "carve: finished before" in log
    (tmp_path / "out-fail").unlink()
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    record = SweepRecord.model_validate_json((output / "sweep.json").read_bytes())
    assert [build.status for build in record.builds] == ["built", "built"]
    assert (output / "logs" / f"{names[0]}.log").read_text().count("=== ") == 2  # taken over
    (mean,) = record.means
    assert mean.seeds == [0, 1]
    assert mean.retention is not None
    assert mean.retention.low <= min(
        result.retention.low for b in record.builds for result in b.results if result.retention
    )
    assert not (output / "teacher-outputs").exists()
    assert (output / "builds" / names[0] / "report.html").exists()


@pytest.mark.slow
def test_at_a_url_a_build_takes_up_the_stages_of_a_node_that_died(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node's own disk is a temporary folder, gone with it; the storage is another folder, by its URL."""
    (job,) = read_sweep(sweep_file(tmp_path, files, text=ONE_TARGET)).jobs
    place, url = tmp_path / "bucket", f"file://{tmp_path}/bucket"
    monkeypatch.setattr(worker, "MODULE", "tests.sweep.short_worker")
    threads = {"OMP_NUM_THREADS": "1"}
    hold = tmp_path / "bucket-hold"
    hold.touch()
    process = worker.start(job, url, threads, tmp_path / "log")
    while not hold.read_text() and process.poll() is None:
        time.sleep(0.05)
    worker.stop(process)
    assert not (place / "results").exists()
    found = SweepBuild.model_validate_json(worker.run_apart(job.to_json(), url, threads, __version__))
    assert found.status == "built", found.error
    log = (place / "logs" / f"{job.name}.log").read_text()
    assert "distil: finished before" in log
    assert (place / "builds" / job.name / "bundles" / "android-onnx" / "edgepack.json").exists()
    assert not (place / "builds" / job.name / ".edgepack").exists()
    assert not (place / "stages" / job.name).exists()
    assert worker.read_result(Storage(url), job) == found
    assert SweepBuild.model_validate_json(worker.run_apart(job.to_json(), url, threads, __version__)) == found
    assert (place / "logs" / f"{job.name}.log").read_text() == log  # it was finished, and is not built again
