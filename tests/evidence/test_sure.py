"""When a model is sure enough: the least confidence by hand, what it does to others, and what the gate finds again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack.bundle.manifest import task_of
from edgepack.bundle.write import Bundle
from edgepack.evidence.calibration import fit_temperature
from edgepack.evidence.gate import gate
from edgepack.evidence.sure import (
    HIGHEST,
    LOWEST,
    auroc,
    auroc_figure,
    find_confidence,
    least_confidence,
    measure_sureness,
    rounded,
)
from edgepack.task.encoded import IGNORED, Encoded
from edgepack.task.task import Task
from tests.evidence.planted import mend_manifest
from tests.evidence.world import World

TEXTS = Task("text-classification", ("a", "b", "c"))
SURE = st.lists(st.integers(100, 9_900).map(lambda n: n / 10_000), max_size=40).map(sorted)


def encoded_texts(truth: np.ndarray) -> Encoded:
    count = len(truth)
    return Encoded(np.zeros(2 * count, np.int32), np.zeros(2 * count, np.int8), np.arange(count + 1) * 2, truth)


def drawn(count: int, scale: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 3, count)
    return (np.eye(3)[truth] * 2 + generator.normal(size=(count, 3))) * scale, truth


def test_the_least_confidence_leaves_the_share_of_right_answers() -> None:
    right = [i / 100 for i in range(1, 101)]
    assert least_confidence(right, [], [], 0.95) == 0.06
    assert sum(sure >= 0.06 for sure in right) == 95
    assert least_confidence(right, [0.99], [], 0.999) == 0.01
    assert least_confidence([1.0] * 10, [], [], 0.95) == HIGHEST
    assert least_confidence([], [0.5], [], 0.95) == LOWEST


def test_with_texts_out_of_scope_the_least_confidence_parts_them_best() -> None:
    assert least_confidence([0.6, 0.9], [0.8], [0.1, 0.2, 0.3], 0.95) == 0.45
    assert least_confidence([0.5, 0.9], [], [0.2, 0.7], 0.95) == 0.35  # as good as 0.8, and answers more
    assert least_confidence([0.2], [], [0.9], 0.95) == pytest.approx(0.2)


@given(SURE, SURE, SURE.filter(len), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_no_other_confidence_is_better(
    right: list[float], wrong: list[float], outside: list[float], rate: float
) -> None:
    inside = np.array([*right, *wrong])
    found = least_confidence(right, wrong, outside, rate)
    assert LOWEST <= found <= HIGHEST

    def balanced(limit: float) -> float:
        answered = (inside >= limit).mean() if len(inside) else 1.0
        return float(answered + (np.array(outside) < limit).mean())

    if len(inside):
        limits = np.clip([*inside, *outside], LOWEST, HIGHEST)
        assert balanced(found) >= max(map(balanced, limits)) - 1e-9
    alone = least_confidence(right, wrong, [], rate)
    bounded = np.clip(right, LOWEST, HIGHEST)
    assert not right or (bounded >= alone).mean() >= rate - 1e-9


@given(SURE.filter(len), SURE.filter(len))
def test_auroc_is_the_share_of_pairs(inside: list[float], outside: list[float]) -> None:
    one, other = np.array(inside), np.array(outside)
    pairs = (one[:, None] > other).mean() + (one[:, None] == other).mean() / 2
    assert auroc(one, other) == pytest.approx(pairs)


def test_auroc_comes_with_an_interval_that_holds_it() -> None:
    generator = np.random.default_rng(0)
    figure = auroc_figure(generator.normal(1, 1, 300), generator.normal(0, 1, 200))
    assert figure.low < figure.value < figure.high
    assert figure.value == pytest.approx(0.76, abs=0.04)
    assert figure.high - figure.low < 0.12


def test_temperature_and_least_confidence_are_of_the_examples_held_out() -> None:
    logits, truth = drawn(400)
    found = find_confidence(TEXTS, logits, encoded_texts(truth), None, 0.9)
    assert found is not None
    assert found.temperature == fit_temperature(logits, truth) > 1.2
    assert (found.n, found.outside) == (400, [])
    assert len(found.right) == (logits.argmax(axis=1) == truth).sum()
    sureness = measure_sureness(found, logits, truth, None, False)
    assert sureness.answered_right >= 0.9 * sureness.right
    assert sureness.answered_right / sureness.answered > sureness.right / sureness.n
    assert (sureness.n, sureness.auroc) == (400, None)


def test_where_every_answer_is_right_the_temperature_is_not_without_end() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 3, 200)
    logits = np.eye(3)[truth] * generator.uniform(2, 6, (200, 1))
    assert 0.2 < fit_temperature(logits, truth) < 1
    found = find_confidence(TEXTS, logits, encoded_texts(truth), None, 0.95)
    assert found is not None
    assert 0.5 < np.mean(found.right) < 1


def test_texts_out_of_scope_are_told_apart_and_counted() -> None:
    logits, truth = drawn(400, 1.0)
    foreign = np.random.default_rng(1).normal(size=(200, 3)) * 0.2
    found = find_confidence(TEXTS, logits, encoded_texts(truth), foreign, 0.95)
    assert found is not None
    assert len(found.outside) == 200
    sureness = measure_sureness(found, logits, truth, foreign, True)
    assert sureness.outside_answered < 0.2 * sureness.outside
    assert sureness.answered > 0.7 * sureness.n
    assert sureness.auroc is not None
    assert sureness.auroc.value > 0.8
    assert sureness.outside_of_training


def test_tags_have_a_temperature_alone_and_label_sets_and_few_examples_nothing() -> None:
    logits, truth = drawn(400)
    sets = Task("text-classification", ("a", "b", "c"), problem="multi_label_classification")
    assert find_confidence(sets, logits, encoded_texts(np.eye(3, dtype=np.int8)[truth]), None, 0.95) is None
    few = find_confidence(TEXTS, logits[:49], encoded_texts(truth[:49]), None, 0.95)
    assert few is None
    tags = truth.reshape(100, 4).copy()
    tags[:, 0] = IGNORED
    tagged = Encoded(np.zeros(400, np.int32), np.zeros(400, np.int8), np.arange(101) * 4, tags.ravel())
    found = find_confidence(Task("token-classification", ("O", "B-x", "I-x")), logits, tagged, None, 0.95)
    assert found is not None
    assert (found.n, found.min_confidence, found.right) == (300, None, [])


def test_a_confidence_is_rounded_down_so_that_it_reaches_the_limit_that_is_found_from_it() -> None:
    assert rounded(np.array([0.99996, 0.12348, 1.0])) == [0.1234, 0.9999, 1.0]
    sure = np.array([0.98247] * 40 + [0.98293] * 60)  # of a model that gives all texts of a label the same
    limit = least_confidence(rounded(sure), [], [], 0.95)
    assert (sure >= limit).all()
    assert limit == pytest.approx(0.9824)
    inside, outside = np.array([0.82351, 0.9]), np.array([0.82349, 0.5])
    limit = least_confidence(rounded(inside), [], rounded(outside), 0.95)
    assert (inside >= limit).all()
    assert not (outside >= limit).any()


def test_a_temperature_changed_everywhere_shows_on_the_data(world: World, bundle: Bundle, copy: Path) -> None:
    assert task_of(bundle.manifest).may_be_unsure
    assert gate([copy], evaluation=str(world.data)).passed
    path = copy / "verdict.json"
    verdict = json.loads(path.read_text())
    verdict["confidence"]["temperature"] = verdict["analysis"]["calibration"]["temperature"] = 9.0
    path.write_text(json.dumps(verdict))
    manifest = json.loads((copy / "edgepack.json").read_text())
    (copy / "edgepack.json").write_text(json.dumps({**manifest, "temperature": 9.0}))
    mend_manifest(copy)
    card = (copy / "README.md").read_text()
    assert "Not sure below" in card
    (result,) = gate([copy], evaluation=str(world.data)).bundles
    failed = {check.name: check.reason for check in result.failures}
    assert "log loss at the temperature 9 is" in failed["metric"]


def test_a_calibration_error_changed_everywhere_shows_on_the_data(world: World, copy: Path) -> None:
    path = copy / "verdict.json"
    verdict = json.loads(path.read_text())
    verdict["analysis"]["calibration"]["scaled_ece"] += 0.2
    path.write_text(json.dumps(verdict))
    mend_manifest(copy)
    (result,) = gate([copy], evaluation=str(world.data)).bundles
    failed = {check.name: check.reason for check in result.failures}
    assert "calibration error at the temperature" in failed["metric"]
