"""Two releases of one model: what changed, what is worse, and the gate's --baseline."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from edgepack.bundle.verdict import Speed
from edgepack.bundle.write import Bundle, write_bundle
from edgepack.cli import main
from edgepack.errors import InputError
from edgepack.evidence.compare import Change, compare, growth_checks
from edgepack.evidence.gate import gate
from edgepack.evidence.policy import Policy
from edgepack.export import export
from edgepack.student.model import Student
from tests.evidence.world import TARGET, World


@pytest.fixture(scope="module")
def worse(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a student whose last layer has been disturbed: most answers are other ones."""
    student = Student(world.student.config)
    student.load_state_dict(world.student.state_dict())
    with torch.no_grad():
        student.head.classifier.weight.neg_()
    folder = tmp_path_factory.mktemp("worse")
    artifact = export(student.eval(), TARGET, folder / "model")
    contents = world.contents()
    verdict = world.verdict(artifact.path)
    slower = {
        "artifact": Speed(load_ms=10, p50_ms={16: 4.0, 32: 8.0}, peak_bytes=200, baseline_bytes=1, resident_bytes=99)
    }
    verdict = verdict.model_copy(update={"speed": slower})
    return write_bundle(folder / "bundle", replace(contents, artifact=artifact, verdict=verdict)).folder


@pytest.fixture(scope="module")
def timed(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The good bundle, with times."""
    contents = world.contents()
    speed = {
        "artifact": Speed(load_ms=9, p50_ms={16: 3.0, 64: 9.0}, peak_bytes=190, baseline_bytes=1, resident_bytes=90)
    }
    verdict = contents.verdict.model_copy(update={"speed": speed})
    return write_bundle(tmp_path_factory.mktemp("timed") / "bundle", replace(contents, verdict=verdict)).folder


def test_the_same_release_passes_and_shows_nothing_changed(bundle: Bundle, world: World) -> None:
    found = compare(bundle.folder, bundle.folder, evaluation=str(world.data))
    assert found.passed
    assert found.files == {}
    assert (found.metrics.old, found.metrics.new) == (1.0, 1.0)
    assert [(f.label, f.lost, f.gained) for f in found.flips] == [("negative", 0, 0), ("positive", 0, 0)]
    assert sum(f.n for f in found.flips) == 75
    assert "PASSED" in found.table()
    large = found.model_copy(update={"costs": {"shipped_bytes": Change(old=1_234_567, new=1_234_568)}})
    assert "1,234,567  1,234,568" in large.table(), "numbers are shown in full"


def test_a_worse_release_fails_with_its_flips(bundle: Bundle, worse: Path, world: World) -> None:
    found = compare(bundle.folder, worse, evaluation=str(world.data))
    assert (found.passed, found.exit_code) == (False, 1)
    assert found.checks[0].status == "failed"
    assert "of the baseline's" in found.checks[0].reason
    assert sum(f.lost for f in found.flips) > 30
    assert found.files[TARGET.file] == "changed"
    assert json.loads(json.dumps(found.to_record()))["passed"] is False
    back = compare(worse, bundle.folder, evaluation=str(world.data))
    assert back.passed
    assert sum(f.gained for f in back.flips) == sum(f.lost for f in found.flips)


def test_without_data_only_what_is_recorded_is_compared(timed: Path, worse: Path) -> None:
    found = compare(timed, worse)
    assert found.metric is None
    assert found.flips == []
    assert found.passed  # nothing was limited
    assert set(found.costs) == {"shipped_bytes", "load_ms", "peak_bytes", "resident_bytes", "p50_ms at 16 tokens"}
    assert found.costs["p50_ms at 16 tokens"].growth == pytest.approx(1 / 3)
    assert (found.metrics.old, found.metrics.new) == (1.0, pytest.approx(found.metrics.new))
    assert found.metrics.new is not None
    assert found.metrics.new < 0.5


def test_costs_may_grow_by_so_much(timed: Path, worse: Path, tmp_path: Path) -> None:
    policy = tmp_path / "gate.toml"
    for limit, passed in ((0.2, False), (0.5, True)):
        policy.write_text(f"max_growth = {limit}")
        found = compare(timed, worse, policy=policy)
        assert found.passed == passed
        failed = [check.reason for check in found.checks if check.status == "failed"]
        assert len(failed) == (0 if passed else 1)
        assert passed or "p50_ms at 16 tokens" in failed[0]
    costs = {"shipped_bytes": Change(old=None, new=3.0)}  # nothing to compare with
    assert growth_checks(costs, Policy(max_growth=0.1)) == []


def test_bundles_of_two_tasks_are_not_compared(bundle: Bundle, copy: Path) -> None:
    manifest = json.loads((copy / "edgepack.json").read_text())
    (copy / "edgepack.json").write_text(json.dumps({**manifest, "labels": ["negative", "neutral"]}))
    with pytest.raises(InputError, match="different tasks or labels"):
        compare(bundle.folder, copy)


def test_the_gate_fails_a_regression(bundle: Bundle, worse: Path, world: World, tmp_path: Path) -> None:
    def baseline(new: Path, old: Path, evaluation: str | None = str(world.data)) -> tuple[str, str]:
        (result,) = gate([new], evaluation=evaluation, baseline=old).bundles
        check = next(check for check in result.checks if check.name == "baseline")
        return check.status, check.reason

    same = tmp_path / "same"
    shutil.copytree(bundle.folder, same)
    status, reason = baseline(bundle.folder, same)
    assert status == "passed"
    assert "shipped bytes +0.0%, 0 files differ" in reason
    assert baseline(worse, bundle.folder)[0] == "failed"
    assert baseline(bundle.folder, worse)[0] == "passed"
    assert baseline(bundle.folder, same, None) == ("not_run", "no data to compare the two on; pass --eval")


def test_a_bundle_is_no_earlier_release_of_itself(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(bundle.folder)
    with pytest.raises(InputError, match="is the bundle itself"):
        gate([bundle.folder], baseline=tmp_path / "link")


def test_a_limit_of_growth_without_a_baseline_is_not_run(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text("max_growth = 0.1")
    (result,) = gate([bundle.folder], tmp_path / "gate.toml").bundles
    assert [(check.name, check.status) for check in result.failures] == [("baseline", "not_run")]


def test_on_other_data_the_baseline_stands_for_the_teacher(bundle: Bundle, world: World, tmp_path: Path) -> None:
    lines = world.data.read_text().splitlines()
    fewer = tmp_path / "fewer.tsv"
    fewer.write_text("\n".join(lines[:70]) + "\n")
    shutil.copytree(bundle.folder, tmp_path / "old")
    (result,) = gate([bundle.folder], evaluation=str(fewer), baseline=tmp_path / "old").bundles
    check = next(check for check in result.checks if check.name == "metric")
    assert check.status == "passed"
    assert "compared with the baseline" in check.reason


@pytest.mark.parametrize("command", ["compare", "bom"])
def test_a_bundle_that_was_changed_is_not_vouched_for(copy: Path, tmp_path: Path, command: str) -> None:
    (copy / "tokenizer.json").unlink()
    words = ["compare", str(copy), str(copy)] if command == "compare" else ["bom", str(copy), "-o", str(tmp_path / "b")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert "is not as its manifest records it" in result.stderr
    assert not (tmp_path / "b").exists()
