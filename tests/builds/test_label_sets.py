"""A whole build of label sets: data with lists, thresholds, goldens, gate, predict, comparison, packages."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgepack.bundle.manifest import load_manifest
from edgepack.evidence.calls import gate_bundles
from edgepack.finetune import Options
from edgepack.package import package_app
from edgepack.predict import Bundle, predict_data
from edgepack.teacher import load_teacher
from tests.builds.tiny import TARGETS, Files, build_shortly, make_teacher

WORDS = {"light": ["lamp", "bright", "dim"], "music": ["song", "play", "tune"], "time": ["clock", "alarm", "hour"]}
FILLERS = ["please", "now", "could", "you", "just", "the", "my", "a", "some", "very"]


def make_files(folder: Path) -> Files:
    """Texts with none to three of three labels, which their words name, and a two-layer teacher of them."""
    generator = np.random.default_rng(0)
    rows = []
    for _ in range(700):
        labels = [label for label in WORDS if generator.random() < 0.4]
        words = [*generator.choice(FILLERS, generator.integers(1, 5)), *(generator.choice(WORDS[x]) for x in labels)]
        rows.append({"text": " ".join(generator.permutation(words)), "labels": labels})
    for name, chosen in (("train", rows[:560]), ("eval", rows[560:])):
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in chosen))
    options = Options(epochs=12, batch_size=16, learning_rate=2e-3)
    paths, result = make_teacher(folder, [row["text"] for row in rows], options, "jsonl")
    assert result.metric_name == "micro_f1"
    assert result.metric > 0.95
    assert len(result.thresholds) == 3
    return paths


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("sets"))


@pytest.fixture(scope="module")
def output(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_shortly(files, tmp_path_factory.mktemp("build") / "out")


def test_the_teacher_keeps_its_thresholds(files: Files) -> None:
    task = load_teacher(files.teacher).task
    assert task.is_multi_label
    assert len(task.thresholds) == 3


@pytest.mark.parametrize("target", TARGETS)
def test_the_bundle_passes_the_gate_on_its_data(output: Path, files: Files, target: str) -> None:
    folder = output / "bundles" / target
    manifest = load_manifest(folder)
    assert manifest.problem == "multi_label_classification"
    assert manifest.thresholds is not None
    assert manifest.teacher.thresholds == list(load_teacher(files.teacher).task.thresholds)
    assert manifest.linear is not None
    assert manifest.linear.rows
    assert manifest.temperature is None
    assert manifest.metrics["artifact"].name == "micro_f1"
    assert json.loads((folder / "config.json").read_text())["problem_type"] == manifest.problem
    found = gate_bundles(folder, eval=files.evaluation)
    assert found.passed, found.table()


def test_answers_are_sets_that_may_be_empty(output: Path, files: Files) -> None:
    bundle = Bundle.load(output / "bundles" / TARGETS[0])
    both, none = bundle(["play a song under the lamp", "please just the very my"])
    assert both.labels is not None
    assert set(both.labels) == {"light", "music"}
    assert both.label is None
    assert none.labels == ()
    assert none.lines()[1] == "  none"
    found = predict_data(bundle, files.evaluation, compare_teacher=files.teacher, quiet=True)
    assert found.metric is not None
    assert found.metric.value == pytest.approx(bundle.manifest.metrics["artifact"].value)
    assert set(found.others) == {"macro_f1", "exact_match"}
    assert found.others["macro_f1"].value > 0.9
    assert found.teacher is not None
    assert found.teacher.metric is not None
    assert found.teacher.metric.value == pytest.approx(bundle.manifest.metrics["teacher"].value)
    assert found.teacher.agreement > 0.8


def test_goldens_hold_label_sets(output: Path) -> None:
    lines = (output / "bundles" / TARGETS[0] / "golden.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    assert all("label" not in golden for golden in found)
    assert {len(golden["labels"]) for golden in found} >= {0, 1, 2}


@pytest.mark.parametrize(("target", "app"), [(TARGETS[0], "android"), (TARGETS[0], "web")])
def test_each_app_takes_the_bundle(output: Path, tmp_path: Path, target: str, app: str) -> None:
    package_app(output / "bundles" / target, app=app, output=tmp_path / app)
    assert any((tmp_path / app).rglob("edgepack.json"))
