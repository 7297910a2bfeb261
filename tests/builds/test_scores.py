"""A whole build of scores: data with numbers, a teacher on their scale, goldens, gate, predict, comparison."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgepack.bundle.goldens import GOLDEN_NAME, read_goldens
from edgepack.bundle.linear import compared
from edgepack.bundle.manifest import load_manifest, read_model
from edgepack.bundle.verdict import VERDICT_NAME, Verdict
from edgepack.evidence.calls import gate_bundles
from edgepack.finetune import Options
from edgepack.predict import Bundle, predict_data
from edgepack.teacher import load_teacher
from tests.builds.tiny import TARGETS, Files, build_shortly, make_teacher

WORTH = {"bright": 2.0, "fine": 1.0, "plain": 0.0, "dull": -1.0, "awful": -2.0}
FILLERS = ["please", "now", "could", "you", "just", "the", "my", "a", "some", "very"]


def make_files(folder: Path) -> Files:
    """Texts whose score, 0 to 100, is told by their words, and a two-layer teacher of it."""
    generator = np.random.default_rng(0)
    rows = []
    for _ in range(700):
        found = list(generator.choice(list(WORTH), generator.integers(1, 4)))
        score = 50 + 8 * sum(WORTH[word] for word in found) + generator.normal(0, 1)
        words = [*generator.choice(FILLERS, generator.integers(1, 5)), *found]
        rows.append((f"{score:.2f}", " ".join(generator.permutation(words))))
    for name, chosen in (("train", rows[:560]), ("eval", rows[560:])):
        (folder / f"{name}.tsv").write_text("score\ttext\n" + "".join(f"{s}\t{t}\n" for s, t in chosen))
    options = Options(epochs=12, batch_size=16, learning_rate=2e-3)
    paths, result = make_teacher(folder, [text for _, text in rows], options)
    assert result.metric_name == "pearson"
    assert result.metric > 0.95
    assert result.others["spearman"] > 0.95
    assert result.others["mean_absolute_error"] < 5  # on the scale of the data
    return paths


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("scores"))


@pytest.fixture(scope="module")
def output(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_shortly(files, tmp_path_factory.mktemp("build") / "out")


def test_the_teacher_says_that_it_is_a_regression(files: Files) -> None:
    teacher = load_teacher(files.teacher)
    assert teacher.config.problem_type == "regression"
    assert (teacher.task.labels, teacher.task.activation) == (("score",), "identity")
    assert teacher.notes == ()


@pytest.mark.parametrize("target", TARGETS)
def test_the_bundle_passes_the_gate_on_its_data(output: Path, files: Files, target: str) -> None:
    folder = output / "bundles" / target
    manifest = load_manifest(folder)
    assert (manifest.problem, manifest.labels, manifest.temperature) == ("regression", ["score"], None)
    assert manifest.activation is None
    assert manifest.metrics["artifact"].name == "pearson"
    result = gate_bundles(folder, eval=files.evaluation)
    assert {check.name: check.reason for g in result.bundles for check in g.checks if check.status != "passed"} == {}


def test_goldens_have_the_score(output: Path) -> None:
    goldens = list(read_goldens(output / "bundles" / TARGETS[0] / GOLDEN_NAME))
    assert all(golden["score"] == pytest.approx(golden["logits"][0]) for golden in goldens)
    assert all("label" not in golden for golden in goldens)
    assert len({golden["score"] for golden in goldens}) > 10


def test_the_bundle_answers_numbers_on_the_scale_of_the_data(output: Path) -> None:
    bundle = Bundle.load(output / "bundles" / TARGETS[0])
    good, bad = bundle(["the bright fine", "the awful dull"])
    assert good.score is not None
    assert bad.score is not None
    assert 50 < good.score < 110
    assert -10 < bad.score < 50
    assert good.lines() == ["the bright fine", f"  score {good.score:.4f}"]
    assert good.probability is None
    assert "probability" in good.to_record()
    assert good.to_record()["score"] == good.score


def test_a_data_set_is_measured_and_compared_with_the_teacher(output: Path, files: Files) -> None:
    found = predict_data(output / "bundles" / TARGETS[0], files.evaluation, compare_teacher=files.teacher)
    assert found.metric_name == "pearson"
    assert found.metric is not None
    assert found.metric.value > 0.9
    assert found.teacher is not None
    assert found.teacher.retention is not None
    assert found.truths[0] == f"{float(found.truths[0]):.4f}"
    assert set(found.others) == {"spearman", "mean_absolute_error"}
    assert found.others["spearman"].value > 0.9
    assert 0 < found.others["mean_absolute_error"].low < found.others["mean_absolute_error"].value < 5
    assert found.to_record()["others"]["spearman"]["value"] == found.others["spearman"].value
    assert found.counts == {}
    table = found.table()
    assert all(name in table for name in ("pearson", "spearman", "mean_absolute_error"))
    assert "answered" not in table


def test_a_linear_model_of_scores_is_compared_with_each_artifact(output: Path, tmp_path: Path) -> None:
    """Single words decide the score, so ridge regression is nearly as good as any student, and everything says so."""
    bundle = output / "bundles" / TARGETS[0]
    verdict, manifest = read_model(bundle / VERDICT_NAME, Verdict), load_manifest(bundle)
    assert verdict.linear is not None
    assert manifest.linear == verdict.linear.model_copy(update={"rows": []})  # apps read no row for each text
    assert verdict.linear.metric.value > 0.9
    assert sum(row[-1] for row in verdict.linear.rows) == verdict.metrics["artifact"].n == 140
    line = compared(verdict.linear, verdict.metrics["artifact"], "this model")
    assert line in (bundle / "README.md").read_text()
    assert "The cheap baseline" in (output / "report.html").read_text()
    policy = tmp_path / "gate.toml"
    for least, status in (("-0.2", "passed"), ("0.2", "failed")):
        policy.write_text(f"min_gain_over_linear = {least}\n")
        (result,) = gate_bundles(bundle, policy=policy).bundles
        check = next(check for check in result.checks if check.name == "linear")
        assert check.status == status, check.reason


def test_the_report_tells_of_scores(output: Path) -> None:
    text = (output / "report.html").read_text()
    assert "Spearman" in text
    assert "mean absolute error" in text


def test_data_turned_round_are_refused(files: Files, tmp_path: Path) -> None:
    turned = []
    for path in (files.train, files.evaluation):
        lines = Path(path).read_text().splitlines()
        rows = [line.split("\t") for line in lines[1:]]
        written = tmp_path / Path(path).name
        written.write_text("\n".join([lines[0], *(f"{100 - float(s):.2f}\t{t}" for s, t in rows)]) + "\n")
        turned.append(str(written))
    with pytest.raises(Exception, match="turned round"):
        build_shortly(replace(files, train=turned[0], evaluation=turned[1]), tmp_path / "out")
