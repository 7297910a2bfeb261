"""What evidence makes of label sets: other metrics, classes, agreement, the linear model, swapped labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from edgepack.bundle.manifest import LinearRecord
from edgepack.bundle.verdict import Verdict
from edgepack.bundle.write import Bundle
from edgepack.evidence.analyze import decisions_of
from edgepack.evidence.answers import Labelled
from edgepack.evidence.calibration import calibration
from edgepack.evidence.classes import class_scores, confusion
from edgepack.evidence.compare import compare
from edgepack.evidence.forms import FormLogits, agreement, divergence
from edgepack.evidence.forms import compare as compare_forms
from edgepack.evidence.linear.measure import measure_linear
from edgepack.evidence.linear.model import read_linear
from edgepack.evidence.linear_check import gain_interval, gained
from edgepack.evidence.other_metrics import other_metrics
from edgepack.task.dataset import Dataset, Example
from edgepack.task.encoded import Encoded
from edgepack.task.label_f1 import LabelF1
from edgepack.task.task import Task
from edgepack.teacher.label_check import count_answers, find_permutation

TASK = Task("text-classification", ("a", "b", "c"), problem="multi_label_classification", thresholds=(0.5, 0.3, 0.7))
LIMITS = np.array(TASK.thresholds)


def encoded(gold: np.ndarray) -> Encoded:
    n = len(gold)
    return Encoded(np.zeros(n, np.int32), np.zeros(n, np.int8), np.arange(n + 1), gold.astype(np.int8))


def model(gold: np.ndarray, logits: np.ndarray, task: Task = TASK) -> Labelled:
    return Labelled(FormLogits("model", logits.astype(np.float32), encoded(gold), task.scoring), task)


@pytest.fixture
def made() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    gold = generator.random((200, 3)) < (0.4, 0.2, 0.3)
    return gold, 3 * gold - 1.5 + generator.normal(size=gold.shape)


def test_other_metrics_are_scikit_learns(made: tuple[np.ndarray, np.ndarray]) -> None:
    gold, logits = made
    answered = 1 / (1 + np.exp(-logits.astype(np.float32).astype(float))) >= LIMITS
    macro, exact = other_metrics(model(gold, logits), model(gold, logits))
    assert (macro.name, exact.name) == ("macro_f1", "exact_match")
    assert macro.artifact.value == pytest.approx(f1_score(gold, answered, average="macro"))
    assert exact.teacher.value == pytest.approx(accuracy_score(gold, answered))
    assert all(f.low < f.value < f.high for f in (macro.teacher, macro.artifact, exact.teacher))


def test_each_label_is_a_class_without_confusion_or_temperature(made: tuple[np.ndarray, np.ndarray]) -> None:
    gold, logits = made
    labelled = model(gold, logits)
    scores = class_scores(labelled, labelled)
    assert [score.label for score in scores] == ["a", "b", "c"]
    assert [score.n for score in scores] == gold.sum(axis=0).tolist()
    assert confusion(labelled) == ([], [])
    assert calibration(labelled, labelled) is None


def test_agreement_is_of_sets_and_parity_of_labels() -> None:
    gold = np.zeros((4, 3))
    before = np.array([[9, -9, -9], [9, 9, -9], [-9, -9, -9], [-9, -9, 9]], np.float32)
    after = before.copy()
    after[1, 2] = 9
    first, second = (FormLogits("x", logits, encoded(gold), TASK.scoring) for logits in (after, before))
    assert agreement(first, second) == 0.75
    assert compare_forms(first, second, 1.0).agreement == pytest.approx(11 / 12)
    assert divergence(first, first) == 0


def test_thresholds_are_each_models_own() -> None:
    gold, logits = np.array([[1, 0, 1]]), np.array([[0.0, 0.0, 0.0]], np.float32)
    lower = LabelF1(3, (0.4, 0.6, 0.4))
    first = FormLogits("student", logits - 0.2, encoded(gold), lower)
    second = FormLogits("teacher", logits, encoded(gold), LabelF1(3, (0.5, 0.6, 0.5)))
    assert first.statistics.tolist() == second.statistics.tolist() == [[2, 2, 2]]
    assert agreement(first, second) == 1


def test_decisions_and_the_constant_answer() -> None:
    gold = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0]])
    logits = np.array([[9, -9, -9], [-9, -9, -9], [9, 9, 9]])
    assert decisions_of(logits, encoded(gold), TASK) == [(1, 0, 0), (0, 0, 0), (1, 1, 1)]
    assert TASK.constant_statistics(encoded(gold)).tolist() == [[1, 1, 1], [1, 1, 2], [1, 1, 1]]


def test_swapped_labels_show_in_texts_of_one_label() -> None:
    gold = np.eye(3)[np.repeat([0, 1, 2], 30)]
    gold = np.concatenate([gold, np.ones((20, 3))])
    answers = count_answers(TASK, gold[:, [1, 0, 2]] * 8 - 4, encoded(gold))
    assert answers.total == 90
    assert find_permutation(answers) == {0: 1, 1: 0}


def test_a_linear_model_of_each_label() -> None:
    generator = np.random.default_rng(0)
    words = np.array(["lamp", "song", "clock"])

    def texts(count: int) -> Dataset:
        gold = generator.random((count, 3)) < 0.4
        rows = [(" ".join(["so", *words[row]]), tuple(map(int, np.flatnonzero(row)))) for row in gold]
        return Dataset(tuple(Example(text, None, None, labels) for text, labels in rows), "x", f"{count}")

    evaluation = texts(80)
    result = measure_linear(texts(300), evaluation, TASK, 50_000)
    assert result.record is not None
    assert result.record.metric.name == "micro_f1"
    assert result.record.metric.value > 0.99
    assert result.right is not None
    assert result.right.shape == (80, 3)
    logits = read_linear(result.data).logits(evaluation.examples)
    answered = [tuple(map(int, np.flatnonzero(row > 0))) for row in logits]
    assert np.mean([a == e.label for a, e in zip(answered, evaluation.examples, strict=True)]) > 0.98


def test_the_gain_over_the_linear_model_is_a_paired_interval(set_bundle: Bundle) -> None:
    metric = set_bundle.manifest.metrics["artifact"]
    rows = [[1, 1, 1, 0, 0, 1, 30], [1, 1, 1, 1, 1, 1, 50]]
    record = LinearRecord(bytes=9, metric=metric, features="", trained="", rows=rows)
    n, gain = gained(record)
    low, high = gain_interval(record, 0.95)
    assert n == 80
    assert low < gain < high
    assert gain == pytest.approx(1 - 2 * 50 / (50 + 80))


def test_two_releases_are_compared_label_by_label(set_bundle: Bundle, set_copy: Path) -> None:
    data = set_bundle.folder.parent.parent.parent
    source = next(path for path in data.rglob("eval.tsv") if "sets" in str(path))
    found = compare(set_bundle.folder, set_copy, evaluation=str(source))
    assert found.passed, found.table()
    assert [(flips.label, flips.lost, flips.gained) for flips in found.flips] == [
        ("negative", 0, 0),
        ("positive", 0, 0),
    ]


def test_records_of_other_tasks_have_none_of_the_new_keys(bundle: Bundle, set_bundle: Bundle) -> None:
    documents = [
        [json.loads((each.folder / name).read_text()) for name in ("edgepack.json", "verdict.json")]
        for each in (bundle, set_bundle)
    ]
    (manifest, verdict), (of_sets, verdict_of_sets) = documents
    assert not {"problem", "thresholds"} & set(manifest)
    assert "thresholds" not in manifest["teacher"]
    assert "others" not in verdict["analysis"]
    assert of_sets["problem"] == "multi_label_classification"
    assert len(of_sets["thresholds"]) == len(of_sets["teacher"]["thresholds"]) == 2
    assert [other["name"] for other in verdict_of_sets["analysis"]["others"]] == ["macro_f1", "exact_match"]
    assert Verdict.model_validate(verdict).analysis is not None
