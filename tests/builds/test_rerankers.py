"""A whole build of a reranker: queries with candidates, nDCG@10 over queries, gate, ranking, an app project."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from edgepack.bundle.manifest import load_manifest
from edgepack.bundle.verdict import VERDICT_NAME, Verdict
from edgepack.evidence.calls import gate_bundles
from edgepack.finetune import Options
from edgepack.package import package_app
from edgepack.predict import Bundle, predict_data
from tests.builds.tiny import TARGETS, Files, build_shortly, make_teacher

WORTH = {"bright": 4, "fine": 3, "plain": 2, "dull": 1, "awful": 0}
FILLERS = ["please", "now", "could", "you", "just", "the", "my", "a", "some", "very"]
QUERIES, CANDIDATES, HELD_OUT = 150, 5, 40

pytestmark = pytest.mark.slow


def make_files(folder: Path) -> Files:
    """Queries, each with candidates whose worth a word of theirs tells, and a two-layer teacher that scores pairs."""
    generator = np.random.default_rng(0)
    rows: list[list[str]] = []
    texts: list[str] = []
    for number in range(QUERIES):
        query = f"{' '.join(generator.choice(FILLERS, 3))} {number}"
        group = []
        for word in generator.permutation(list(WORTH)):
            candidate = " ".join(generator.permutation([word, *generator.choice(FILLERS, generator.integers(1, 4))]))
            group.append(f"{query}\t{candidate}\t{WORTH[word]}")
            texts += [query, candidate]
        rows.append(group)
    for name, chosen in (("train", rows[:-HELD_OUT]), ("eval", rows[-HELD_OUT:])):
        lines = [line for group in chosen for line in group]
        (folder / f"{name}.tsv").write_text("query\tdocument\tscore\n" + "\n".join(lines) + "\n")
    paths, result = make_teacher(folder, texts, Options(epochs=12, batch_size=16, learning_rate=2e-3))
    assert result.metric_name == "ndcg_at_10"
    assert result.metric > 0.95
    return paths


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("queries"))


@pytest.fixture(scope="module")
def output(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_shortly(files, tmp_path_factory.mktemp("build") / "out")


@pytest.mark.parametrize("target", TARGETS)
def test_the_bundle_passes_the_gate_on_its_queries(output: Path, files: Files, target: str) -> None:
    folder = output / "bundles" / target
    metric = load_manifest(folder).metrics["artifact"]
    assert (metric.name, metric.value > 0.9) == ("ndcg_at_10", True)
    result = gate_bundles(folder, eval=files.evaluation)
    assert {check.name: check.reason for g in result.bundles for check in g.checks if check.status != "passed"} == {}
    verdict = Verdict.model_validate_json((folder / VERDICT_NAME).read_text())
    tested, linear = verdict.noninferiority, verdict.linear
    assert linear is not None
    assert metric.n == HELD_OUT  # each query is one observation
    assert sum(row[-1] for row in linear.rows) == HELD_OUT
    assert tested is not None
    assert tested.n == sum(row[-1] for row in tested.rows) == HELD_OUT


def test_the_student_marks_words_that_query_and_candidate_share(output: Path) -> None:
    student = AutoModelForSequenceClassification.from_pretrained(output / "student")
    tokenizer = AutoTokenizer.from_pretrained(output / "student")
    assert student.config.match_separator == tokenizer.sep_token_id
    assert student.embeddings.match.abs().sum() > 0


def test_candidates_are_put_in_order(output: Path) -> None:
    bundle = Bundle.load(output / "bundles" / TARGETS[0])
    candidates = [f"the {word} now" for word in ("dull", "bright", "awful", "fine")]
    ranked = bundle.rank("could you please 7", candidates)
    assert [each.pair for each in ranked] == [f"the {word} now" for word in ("bright", "fine", "dull", "awful")]


def test_a_data_set_is_measured_by_its_queries(output: Path, files: Files) -> None:
    found = predict_data(output / "bundles" / TARGETS[0], files.evaluation, compare_teacher=files.teacher)
    assert found.metric_name == "ndcg_at_10"
    assert found.metric is not None
    assert found.metric.value > 0.9
    assert found.teacher is not None


def test_an_app_is_packaged(output: Path, tmp_path: Path) -> None:
    made = package_app(output / "bundles" / TARGETS[0], app="android", output=tmp_path / "app")
    assert any(path.endswith("/edgepack.json") for path in made.files)
