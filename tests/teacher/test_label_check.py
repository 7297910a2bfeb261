"""Labels in another order are found, and teachers that are weak, small or unbalanced are not suspected."""

from __future__ import annotations

import re
from math import exp

import numpy as np
import pytest
from scipy import stats

from edgepack.task.encoded import IGNORED, Encoded
from edgepack.task.task import Task
from edgepack.teacher.label_check import (
    Answers,
    count_answers,
    find_permutation,
    label_problem,
    log_fisher,
    log_tail,
)

RUNS = 300  # simulated teachers of each kind


def names(classes: int) -> tuple[str, ...]:
    return tuple(f"class{i}" for i in range(classes))


def simulate(
    generator: np.random.Generator, rates: np.ndarray, counts: np.ndarray, relabel: dict[int, int] | None = None
) -> Answers:
    """Answers of a teacher that answers a class by `rates (K, K)`, on data whose labels say `relabel` instead."""
    drawn = np.stack([generator.multinomial(n, row) for n, row in zip(counts, rates, strict=True)])
    out = np.zeros_like(drawn)
    for row, label in enumerate((relabel or {}).get(i, i) for i in range(len(rates))):
        out[label] += drawn[row]
    return Answers(out, names(len(rates)))


def rates_of(generator: np.random.Generator, classes: int, accuracy: float) -> np.ndarray:
    """A teacher that gives each class to at least this share of its examples; errors go to a few others."""
    rates = generator.dirichlet(np.full(classes, 0.5), size=classes)
    return accuracy * np.eye(classes) + (1 - accuracy) * rates


@pytest.mark.parametrize("accuracy", [0.5, 0.7, 0.95])
@pytest.mark.parametrize(
    ("classes", "train", "evaluation"), [(2, 8, 4), (2, 500, 872), (5, 50, 15), (77, 20, 10), (150, 20, 2)]
)
def test_a_healthy_teacher_is_not_suspected(classes: int, train: int, evaluation: int, accuracy: float) -> None:
    generator = np.random.default_rng(classes)
    alarms = 0
    for _ in range(RUNS):
        rates = rates_of(generator, classes, accuracy)
        many = generator.integers(0, 2 * train + 1, classes)
        few = generator.integers(0, 2 * evaluation + 1, classes)
        both = simulate(generator, rates, many), simulate(generator, rates, few)
        alarms += label_problem(*both, "train.tsv") is not None
    assert alarms <= RUNS // 100


def test_a_teacher_that_never_gives_a_rare_class_is_weak_not_wrong() -> None:
    rates = np.eye(3)
    rates[2] = [1, 0, 0]  # never answered
    generator = np.random.default_rng(0)
    train, evaluation = (simulate(generator, rates, np.array(n)) for n in ([400, 400, 40], [200, 200, 20]))
    assert label_problem(train, evaluation, "train.tsv") is None


def test_training_data_of_weak_labels_is_not_refused() -> None:
    """A third of the labels are wrong, all over: common, and worth training on."""
    generator = np.random.default_rng(0)
    noisy = 0.67 * np.eye(4) + 0.33 / 4
    train, evaluation = simulate(generator, noisy, np.full(4, 100)), simulate(generator, np.eye(4), np.full(4, 50))
    assert label_problem(train, evaluation, "train.tsv") is None


SHUFFLES: dict[str, dict[int, int]] = {
    "rotated": {0: 1, 1: 2, 2: 3, 3: 4, 4: 0},
    "two swapped": {1: 3, 3: 1},
    "reversed": {0: 4, 1: 3, 3: 1, 4: 0},
    "shifted by one, the first absent": {1: 0, 2: 1, 3: 2, 4: 3},
}


@pytest.mark.parametrize("accuracy", [0.8, 1.0])
@pytest.mark.parametrize("name", SHUFFLES)
def test_another_order_is_found_in_either_data(name: str, accuracy: float) -> None:
    generator, relabel = np.random.default_rng(0), SHUFFLES[name]
    absent = [i for i in range(5) if name.startswith("shifted") and i not in relabel]
    for _ in range(20):
        rates = rates_of(generator, 5, accuracy)
        counts = np.array([0 if i in absent else 30 for i in range(5)])
        good, bad = simulate(generator, rates, counts), simulate(generator, rates, counts, relabel)
        found = label_problem(bad, good, "train.tsv")
        assert found is not None
        assert found.startswith("training data (train.tsv): its labels stand in another order than the teacher's")
        shown = re.findall(r"labelled 'class(\d)', it says 'class(\d)' \(", found)
        assert len(shown) == min(len(relabel), 4)
        assert {int(answer): int(label) for label, answer in shown}.items() <= relabel.items()
        found = label_problem(good, bad, "train.tsv")
        assert found is not None
        assert found.startswith("evaluation data: its labels stand in another order")


def test_two_of_150_swapped_are_found_with_20_examples_each() -> None:
    generator = np.random.default_rng(0)
    rates = rates_of(generator, 150, 0.93)
    bad = simulate(generator, rates, np.full(150, 20), {17: 90, 90: 17})
    assert find_permutation(bad) == {17: 90, 90: 17}


def test_numbers_as_names_lead_to_both_readings() -> None:
    counts = np.diag([30, 30, 30, 30], k=1)
    found = label_problem(Answers(counts, tuple("12345")), Answers(counts, tuple("12345")), "train.tsv")
    assert found is not None
    assert "(integers may be names or class ids from 0)" in found


def test_one_class_that_is_another_in_the_training_data() -> None:
    generator = np.random.default_rng(0)
    evaluation = simulate(generator, rates_of(generator, 5, 0.95), np.full(5, 15))
    train = simulate(generator, rates_of(generator, 5, 0.95), np.full(5, 50))
    train.counts[2] = [0, 0, 3, 47, 0]
    found = label_problem(train, evaluation, "train.tsv")
    assert found is not None
    assert (
        "a label holds another class of the teacher's here, and not in the evaluation data: labelled 'class2', it "
        "says 'class3' (47 of 50)" in found
    )


@pytest.mark.parametrize("share", [0.9, 1.0])
def test_one_class_that_was_given_to_another_label(share: float) -> None:
    """The other label keeps its own examples, so it is half right; the class that lost them has few or none."""
    evaluation = Answers(15 * np.eye(5, dtype=np.int64), names(5))
    counts = 50 * np.eye(5, dtype=np.int64)
    counts[3, 3], counts[4, 3] = round((1 - share) * 50), round(share * 50)
    found = label_problem(Answers(counts, names(5)), evaluation, "train.tsv")
    assert found is not None
    assert f"labelled 'class4', it says 'class3' ({round(share * 50)} of {round(share * 50) + 50})" in found


def test_other_shares_of_the_classes_are_no_sign() -> None:
    """A rare class in training, half of the evaluation data: what the teacher answers is mostly the frequent class."""
    rates = np.array([[0.9, 0.1], [0.1, 0.9]])
    generator = np.random.default_rng(0)
    for _ in range(50):
        train, evaluation = (simulate(generator, rates, np.array(n)) for n in ([1980, 20], [300, 300]))
        assert label_problem(train, evaluation, "train.tsv") is None


def test_labels_at_random_are_found() -> None:
    generator = np.random.default_rng(0)
    train = simulate(generator, np.full((5, 5), 0.2), np.full(5, 60))
    evaluation = simulate(generator, rates_of(generator, 5, 0.95), np.full(5, 15))
    found = label_problem(train, evaluation, "train.tsv")
    assert found is not None
    assert "training data (train.tsv): the teacher" in found


def test_names_cannot_forge_lines() -> None:
    forged = ("a\nerror: lost", "b\u202e", "c")
    found = label_problem(
        Answers(np.diag([30, 30], k=1), forged[:2]), Answers(30 * np.eye(2, dtype=int)[::-1], forged[:2]), "t"
    )
    assert found is not None
    assert found.isprintable()


def test_entity_types_are_counted_once_in_an_example() -> None:
    task = Task("token-classification", ("O", "B-PER", "I-PER", "B-LOC", "I-LOC"))
    labels = np.array([IGNORED, 1, 2, 0, 3, IGNORED, IGNORED, 1, 1, 0])
    answers = np.eye(5)[[0, 1, 1, 0, 4, 0, 0, 3, 3, 0]]
    encoded = Encoded(np.zeros(10, np.int32), np.zeros(10, np.int8), np.array([0, 6, 10]), labels)
    found = count_answers(task, answers, encoded)
    assert found.names == ("O", "LOC", "PER")
    np.testing.assert_array_equal(found.counts, [[2, 0, 0], [0, 1, 0], [0, 1, 1]])
    assert (found.right, found.total) == (2, 3)


def test_the_first_label_may_be_called_o() -> None:
    task = Task("text-classification", ("O", "A"))
    encoded = Encoded(np.zeros(4, np.int32), np.zeros(4, np.int8), np.array([0, 2, 4]), np.array([0, 1]))
    found = count_answers(task, np.eye(2), encoded)
    assert (found.right, found.total) == (2, 2)


@pytest.mark.parametrize(("a", "n", "b", "m"), [(0, 50, 15, 15), (3, 10, 9, 12), (10, 10, 0, 5), (0, 1, 1, 1)])
def test_the_chances_are_those_of_the_textbook(a: int, n: int, b: int, m: int) -> None:
    table = [[a, n - a], [b, m - b]]
    assert exp(log_fisher(a, n, b, m)) == pytest.approx(stats.fisher_exact(table, alternative="less").pvalue)
    assert exp(log_tail(a, a + b)) == pytest.approx(stats.binomtest(a, a + b, alternative="greater").pvalue)
