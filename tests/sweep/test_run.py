"""Sweeps whose builds are other processes that write a result at once: taken over, failed, killed, resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from edgepack.console import Console
from edgepack.errors import InputError, MissingDependency
from edgepack.machine import processes
from edgepack.machine.processes import share_of_machine
from edgepack.sweep import embedded, run, worker
from edgepack.sweep.embedded import divide
from edgepack.sweep.job import Job, Planned
from tests.sweep.made import FAKE, write_sweep

QUIET = Console(quiet=True)
PLAN = Planned({"android-onnx": 1_900_000}, 10**9, 10**9)
NAMES = [f"one-{budget}MB-standard-seed{seed}" for seed in (0, 1) for budget in (2, 1)]
# a sweep of such builds in a process of its own, to be killed
DRIVER = f"""
import sys
from pathlib import Path
from edgepack.console import Console
from edgepack.sweep import embedded, run, worker
from tests.sweep.test_run import PLAN
worker.MODULE = {FAKE!r}
embedded.gpu_names = lambda: []
run.plan_jobs = lambda jobs, device, console: {{job.group: PLAN for job in jobs}}
run.run_sweep(Path(sys.argv[1]), sys.argv[2], 2, None, Console(quiet=True))
"""


@pytest.fixture(autouse=True)
def no_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    def plan(jobs: Sequence[Job], device: str | None, console: Console) -> dict[object, Planned]:
        return {job.group: PLAN for job in jobs}

    monkeypatch.setattr(worker, "MODULE", FAKE)
    monkeypatch.setattr(run, "plan_jobs", plan)
    monkeypatch.setattr(embedded, "gpu_names", list)


def tell(output: Path, job: str, what: str) -> None:
    output.mkdir(exist_ok=True)
    (output / ".edgepack").mkdir(exist_ok=True)  # an earlier sweep's
    (output / f"tell-{job}").write_text(what)


def test_a_build_that_fails_ends_no_other_and_is_tried_again(tmp_path: Path) -> None:
    file, output = write_sweep(tmp_path), tmp_path / "out"
    for job, what in zip(NAMES, ("fail", "die", "low", ""), strict=True):
        tell(output, job, what)
    result = run.run_sweep(file, str(output), 2, None, QUIET)
    assert [build.status for build in result.record.builds] == ["failed", "failed", "built", "built"]
    assert result.exit_code == 1
    assert result.record.builds[0].error == "told to"
    assert result.record.builds[1].error == f"ended by signal 9; see logs/{NAMES[1]}.log"
    table = result.table()
    assert f"{NAMES[0]}: told to" in table
    assert table.count("failed") == 3
    assert f"{NAMES[3]} with" in (output / "logs" / f"{NAMES[3]}.log").read_text()
    assert json.loads((output / "sweep.json").read_text()) == result.to_record()
    for job in NAMES:
        (output / f"tell-{job}").unlink()
    before = (output / "results" / f"{NAMES[3]}.json").stat().st_mtime_ns
    again = run.run_sweep(file, str(output), 2, None, QUIET)
    assert [build.status for build in again.record.builds] == ["built"] * 4
    assert (output / "results" / f"{NAMES[3]}.json").stat().st_mtime_ns == before
    assert again.exit_code == 1  # one was built and did not pass: it is not built again
    assert [mean.seeds for mean in again.record.means] == [[0, 1], [0, 1]]
    assert "means over seeds" in again.table()
    page = (output / "report.html").read_text()
    assert f'href="builds/{NAMES[0]}/report.html"' in page


def test_other_data_or_a_removed_folder_are_built_again(tmp_path: Path) -> None:
    file, output = write_sweep(tmp_path), tmp_path / "out"
    run.run_sweep(file, str(output), 4, None, QUIET)
    assert "0 of 4 builds are to be built" in run.list_sweep(file, str(output), None, None, QUIET).table()
    (output / "builds" / NAMES[0] / "edgepack.json").unlink()
    assert set(run.list_sweep(file, str(output), None, None, QUIET).planned) == {NAMES[0]}
    (tmp_path / "train.tsv").write_text("other")
    listed = run.list_sweep(file, str(output), None, None, QUIET)
    assert set(listed.planned) == set(NAMES)
    assert listed.to_record()["builds"][0]["bytes"] == {"android-onnx": 1_900_000}


@pytest.mark.slow
def test_a_killed_sweep_takes_its_builds_along_and_resumes(tmp_path: Path) -> None:
    file, output = write_sweep(tmp_path), tmp_path / "out"
    tell(output, NAMES[1], "wait")
    process = subprocess.Popen([sys.executable, "-c", DRIVER, str(file), str(output)])
    deadline = time.monotonic() + 120
    done = [output / "results" / f"{NAMES[number]}.json" for number in (0, 2, 3)]
    while not all(path.exists() for path in [*done, output / f"begun-{NAMES[1]}"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    while len(waiting := psutil.Process(process.pid).children()) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    waiting[0].kill()  # a real one sees it: test_a_worker_ends_with_its_parent
    states = [build["status"] for build in json.loads((output / "sweep.json").read_text())["builds"]]
    assert states[1] == "waiting"
    before = [path.stat().st_mtime_ns for path in done]
    result = run.run_sweep(file, str(output), None, None, QUIET)
    assert result.exit_code == 0
    assert [path.stat().st_mtime_ns for path in done] == before
    assert result.record.jobs == 2  # as before: builds resume with as many threads


def test_a_worker_ends_with_its_parent(tmp_path: Path) -> None:
    """`Surroundings.watch` in a process whose parent is killed."""
    child = (
        "import threading, os; from pathlib import Path; from edgepack.sweep.worker import Surroundings; "
        "from edgepack.sweep.storage import Storage; from types import SimpleNamespace; os.setsid(); "
        f"s = Surroundings(SimpleNamespace(lends='a'), Storage({str(tmp_path)!r}), Path({str(tmp_path)!r})); "
        f"Path({str(tmp_path / 'up')!r}).write_text(str(os.getpid())); s.watch(threading.Event())"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"]
    )
    while not (tmp_path / "up").exists() or not (tmp_path / "up").read_text():
        assert parent.poll() is None
        time.sleep(0.05)
    pid = int((tmp_path / "up").read_text())
    time.sleep(2 * processes.LOOK_SECONDS)
    assert psutil.pid_exists(pid)
    parent.kill()
    parent.wait()
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=30)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_misuse_is_one_line(tmp_path: Path) -> None:
    file = write_sweep(tmp_path)
    with pytest.raises(InputError, match=r"without --ray give a folder"):
        run.run_sweep(file, "s3://bucket/sweep", None, None, QUIET)
    with pytest.raises(InputError, match=r"--jobs 2 and --ray are both given"):
        run.run_sweep(file, "out", 2, "auto", QUIET)
    with pytest.raises(InputError, match=r"--jobs 2 and --ray are both given"):
        run.list_sweep(file, "out", 2, "auto", QUIET)
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "edgepack.json").write_text("{}")
    with pytest.raises(InputError, match=r"is a build's; give a new folder"):
        run.run_sweep(file, str(tmp_path / "build"), None, None, QUIET)


def test_without_ray_the_line_that_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependency, match=r'--ray needs ray, .*pip install "edgepack\[ray\]"'):
        run.run_sweep(write_sweep(tmp_path), str(tmp_path / "out"), None, "auto", QUIET)


def test_how_a_machine_is_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "usable_cores", lambda: 16)
    monkeypatch.setattr(embedded, "free_memory", lambda: 64 * 10**9)
    plan = [Planned({}, 2 * 10**9, 8 * 10**9)]
    found = [divide(*asked) for asked in ((20, plan, 10**12, None, None), (3, plan, 10**12, None, None))]
    assert [(each.jobs, each.threads, each.reason) for each in found] == [(8, 2, "16 cores"), (3, 5, "3 builds")]
    disk = divide(20, plan, 20 * 10**9, None, None)
    assert (disk.jobs, disk.threads, disk.reason) == (2, 8, "8.0 GB of disk each")
    monkeypatch.setattr(embedded, "free_memory", lambda: 10**9)
    assert divide(20, plan, 10**12, None, None).jobs == 1  # with less memory than one needs there is one
    assert divide(20, plan, 10**12, 5, 4).jobs == 5
    assert divide(20, plan, 10**12, None, 4).jobs == 4
    told = [share_of_machine(2, slot, ["0", "3"]) for slot in range(3)]
    assert [each["CUDA_VISIBLE_DEVICES"] for each in told] == ["0", "3", "0"]
    assert {each["OMP_NUM_THREADS"] for each in told} == {"2"}
    assert "CUDA_VISIBLE_DEVICES" not in share_of_machine(2, 0, ["0"])
