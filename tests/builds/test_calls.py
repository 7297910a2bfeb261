"""Plan, build and predict from Python, on a tiny teacher: the same results as the commands give."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

import edgepack
from edgepack.build.calls import build_request
from edgepack.bundle.manifest import load_build_manifest
from edgepack.cli import main
from tests.builds.tiny import TARGETS, Files, request


@pytest.fixture
def inputs(files: Files) -> dict[str, object]:
    return {"model": Path(files.teacher), "data": files.train, "eval": files.evaluation, "target": list(TARGETS)}


def test_a_plan_is_the_commands(inputs: dict[str, object], files: Files) -> None:
    plan = edgepack.plan_student(**inputs, budget="60kB", quiet=True)  # type: ignore[arg-type]
    options = ["-m", files.teacher, "-d", files.train, "--eval", files.evaluation, "-b", "60kB", "--json", "--quiet"]
    told = CliRunner().invoke(main, ["plan", *options, *(word for name in TARGETS for word in ("-t", name))])
    own, printed = plan.to_record(), json.loads(told.stdout)
    for record in (own, printed):  # what is measured differs from time to time
        assert record.pop("time").pop("seconds") > 0
        assert record["linear"].pop("seconds") >= 0
    assert own == printed
    assert plan.chosen.shipped_bytes.keys() == set(TARGETS)


def test_progress_can_be_switched_off(
    inputs: dict[str, object], unbroken: Path, files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    for quiet in (False, True):
        edgepack.plan_student(**inputs, budget="60kB", quiet=quiet)  # type: ignore[arg-type]
        edgepack.gate_bundles(unbroken / "bundles" / TARGETS[0], quiet=quiet)
        edgepack.predict_data(unbroken / "bundles" / TARGETS[0], files.evaluation, quiet=quiet)
        told = capsys.readouterr()
        assert told.out == ""
        assert all((word in told.err) is not quiet for word in ("teacher: bert", "checking ", "predict"))
    assert all(line.startswith("warning: ") for line in told.err.splitlines()), "warnings stay"


def test_a_request_is_the_commands(inputs: dict[str, object], files: Files, tmp_path: Path) -> None:
    options = {"effort": "quick", "max_drop": "30%", "seed": 0, "task": None}
    made = build_request({**inputs, "budget": 60_000}, tmp_path, options)
    assert made == request(files, tmp_path)


def test_a_finished_build_is_taken_as_it_is(inputs: dict[str, object], unbroken: Path, tmp_path: Path) -> None:
    shutil.copytree(unbroken, tmp_path / "out")
    before = {stage["name"]: stage["key"] for stage in load_build_manifest(unbroken).stages}
    result = edgepack.build_bundles(
        **inputs, budget=60_000, output=str(tmp_path / "out"), effort="quick", max_drop=0.3, quiet=True
    )  # type: ignore[arg-type]
    assert result.passed
    assert [bundle.manifest.target for bundle in result.bundles] == list(TARGETS)
    assert {stage["name"]: stage["key"] for stage in load_build_manifest(tmp_path / "out").stages} == before
    assert json.loads(json.dumps(result.to_record()))["passed"] is True


def test_a_teacher_beside_its_bundle(files: Files, unbroken: Path, tmp_path: Path) -> None:
    bundle = unbroken / "bundles" / TARGETS[0]
    found = edgepack.predict_data(bundle, files.evaluation, compare_teacher=files.teacher, quiet=True).teacher
    assert found is not None
    verdict = json.loads((bundle / "verdict.json").read_text(encoding="utf-8"))
    assert found.metric is not None
    assert found.metric.value == pytest.approx(verdict["metrics"]["teacher"]["value"])
    assert found.agreement == pytest.approx(verdict["agreement"])
    assert len(found.disagreements) == found.differing


def test_disagreements_are_listed_with_and_without_labels(files: Files, unbroken: Path, tmp_path: Path) -> None:
    """Texts of words that the student has never seen together: some are decided otherwise."""
    words = ["lamp", "song", "clock", "bright", "tune", "alarm", "dim", "play", "hour", "zebra"]
    texts = [f"{a} {b} {c}" for a in words for b in words for c in words[::3]]
    (tmp_path / "texts.tsv").write_text("text\tid\n" + "".join(f"{text}\t{n}\n" for n, text in enumerate(texts)))
    (tmp_path / "dev.tsv").write_text("text\tlabel\n" + "".join(f"{text}\tlight\n" for text in texts))
    bundle = edgepack.Bundle.load(unbroken / "bundles" / TARGETS[0])
    for name, truth in (("texts.tsv", None), ("dev.tsv", "light")):
        result = edgepack.predict_data(bundle, tmp_path / name, compare_teacher=files.teacher, quiet=True)
        assert result.teacher is not None
        found = result.teacher.disagreements
        assert found, "nothing differs; take harder texts"
        assert len(found) == result.teacher.differing
        assert (result.teacher.metric is None) is (truth is None)
        for each in found:
            assert (each.text, each.truth, each.word) == (texts[each.example], truth, None)
            assert each.teacher != each.bundle == result.answers[each.example].label
            assert each.bundle_probability == pytest.approx(result.answers[each.example].probability)
        assert found[0].text in result.table()


def test_a_teacher_of_other_labels_is_refused(files: Files, unbroken: Path, tmp_path: Path) -> None:
    shutil.copytree(files.teacher, tmp_path / "teacher")
    config = json.loads((tmp_path / "teacher" / "config.json").read_text())
    names = [f"other {label}" for label in config["id2label"].values()]
    config |= {"id2label": dict(enumerate(names)), "label2id": {name: n for n, name in enumerate(names)}}
    (tmp_path / "teacher" / "config.json").write_text(json.dumps(config))
    with pytest.raises(edgepack.InputError, match="give the teacher that the bundle was made from"):
        edgepack.predict_data(
            unbroken / "bundles" / TARGETS[0],
            files.evaluation,
            compare_teacher=tmp_path / "teacher",
            quiet=True,
        )
