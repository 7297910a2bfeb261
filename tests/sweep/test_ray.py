"""A sweep on a real Ray cluster of two nodes on this machine, one of which is killed while a build runs on it."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from edgepack.bundle.manifest import BundleManifest, load_manifest
from edgepack.bundle.sweep import SweepRecord
from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.sweep import embedded, on_ray, run, worker
from edgepack.sweep.file import RayTable
from edgepack.sweep.job import Job, Planned
from tests.builds.test_sweep import ONE_TARGET, sweep_file
from tests.builds.tiny import make_files
from tests.conftest import REPOSITORY
from tests.sweep.made import SHORT, TEXT, fake_apart, short_apart, write_sweep

pytestmark = [pytest.mark.slow, pytest.mark.needs_ray]
QUIET = Console(quiet=True)
NAME = "one-2MB-standard-seed0"
WAIT = 120.0


@pytest.fixture
def with_ray(require: Callable[[str, str], None]) -> None:
    if find_spec("ray") is None:
        require("ray", "the extra ray is not installed")


@pytest.fixture
def nodes(with_ray: None) -> Iterator[Any]:
    """A cluster with a head that runs no build, and two nodes of one core."""
    from ray.cluster_utils import Cluster

    os.environ["PYTHONPATH"] = str(REPOSITORY)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 10**8})
    made.workers = [made.add_node(num_cpus=1, object_store_memory=10**8) for _ in range(2)]
    yield made
    made.shutdown()


def node_of(made: Any, pid: int) -> Any:
    """The node whose process is among the parents of `pid`."""
    above = {process.pid for process in psutil.Process(pid).parents()}
    return next(node for node in made.workers if above & raylets(node))


def raylets(node: Any) -> set[int]:
    return {info.process.pid for kind in node.all_processes.values() for info in kind}


def test_a_build_whose_node_dies_is_run_on_another(nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def plan(jobs: Sequence[Job], device: str | None, console: Console) -> dict[object, Planned]:
        return {job.group: Planned({"android-onnx": 1}, 1, 1) for job in jobs}

    monkeypatch.setattr(run, "plan_jobs", plan)
    monkeypatch.setattr(on_ray, "run_apart", fake_apart)
    file, output = write_sweep(tmp_path, f"{TEXT}[ray]\ncpus = 1\n"), tmp_path / "out"
    (output / ".edgepack").mkdir(parents=True)
    (output / f"tell-{NAME}").write_text("wait")
    (output / "tell-one-1MB-standard-seed1").write_text("fail")
    begun, killed = output / f"begun-{NAME}", []

    def kill_its_node() -> None:
        deadline = time.monotonic() + WAIT
        while not begun.exists() or not begun.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        node = node_of(nodes, int(begun.read_text()))
        killed.append(int(begun.read_text()))
        nodes.remove_node(node, allow_graceful=False)

    killer = threading.Thread(target=kill_its_node)
    killer.start()
    result = run.run_sweep(file, str(output), None, nodes.address, QUIET)
    killer.join()
    assert killed
    assert int(begun.read_text()) not in killed
    states = {build.name: build.status for build in result.record.builds}
    assert states.pop("one-1MB-standard-seed1") == "failed"
    assert set(states.values()) == {"built"}
    assert result.exit_code == 1
    assert (output / "logs" / f"{NAME}.log").read_text().count(NAME) == 2
    assert json.loads((output / "sweep.json").read_text())["ray"] is True


def test_a_real_build_whose_node_dies_resumes_on_another_from_shared_storage(
    nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node dies when distillation is finished and the build is not; the table is an embedded sweep's."""
    file = sweep_file(tmp_path, make_files(tmp_path), text=f"{ONE_TARGET}[ray]\ncpus = 1\n")
    place, url = tmp_path / "bucket", f"file://{tmp_path}/bucket"
    monkeypatch.setattr(on_ray, "run_apart", short_apart)
    hold = tmp_path / "bucket-hold"
    hold.touch()

    def kill_its_node() -> None:
        deadline = time.monotonic() + 2 * WAIT
        while not hold.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        nodes.remove_node(node_of(nodes, int(hold.read_text())), allow_graceful=False)

    killer = threading.Thread(target=kill_its_node)
    killer.start()
    result = run.run_sweep(file, url, None, nodes.address, QUIET)
    killer.join()
    assert hold.read_text()
    (built,) = result.record.builds
    assert built.status == "built", built.error
    assert "distil: finished before" in (place / "logs" / f"{built.name}.log").read_text()
    assert (place / "builds" / built.name / "bundles" / "android-onnx" / "edgepack.json").exists()
    monkeypatch.setattr(worker, "MODULE", SHORT)
    monkeypatch.setattr(embedded, "usable_cores", lambda: 1)
    here = run.run_sweep(file, str(tmp_path / "out"), 1, None, QUIET)
    assert rows(result.record) == rows(here.record)
    assert result.record.means == here.record.means
    hashes = [
        load_manifest(base / "builds" / built.name / "bundles" / "android-onnx") for base in (place, tmp_path / "out")
    ]
    assert shipped(hashes[0]) == shipped(hashes[1])


def rows(record: SweepRecord) -> list[dict[str, Any]]:
    """The builds as they stand in the table, without how long they took."""
    return [build.model_dump(exclude={"seconds"}) for build in record.builds]


def shipped(manifest: BundleManifest) -> dict[str, str]:
    """sha256 of each file that ships."""
    return {file.path: file.sha256 for file in manifest.files if file.shipped}


def test_more_than_any_node_has_is_refused(nodes: Any) -> None:
    with on_ray.cluster(nodes.address) as ray:
        on_ray.check_capacity(ray, RayTable(cpus=1))
        with pytest.raises(InputError, match=r"ray.cpus is 64; no node of the cluster has more than 1"):
            on_ray.check_capacity(ray, RayTable(cpus=64))
        with pytest.raises(InputError, match=r"ray.gpus is 1; no node of the cluster has more than 0"):
            on_ray.check_capacity(ray, RayTable(cpus=1, gpus=1))


def test_no_cluster_is_one_line(with_ray: None) -> None:
    with (
        pytest.raises(InputError, match=r"--ray is '127.0.0.1:1', where no cluster answers"),
        on_ray.cluster("127.0.0.1:1"),
    ):
        pass
