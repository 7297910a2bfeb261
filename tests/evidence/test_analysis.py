"""What lies behind a metric, on answers that can be counted by hand, and figures against scipy where it has them."""

from __future__ import annotations

import random

import numpy as np
import pytest
from scipy import optimize

from edgepack.evidence.analyze import decisions_of
from edgepack.evidence.answers import Labelled
from edgepack.evidence.calibration import calibration, calibration_error, fit_temperature
from edgepack.evidence.classes import class_scores, confusion
from edgepack.evidence.differing import differing_examples
from edgepack.evidence.forms import FormLogits
from edgepack.evidence.robustness import (
    SAMPLE,
    accent,
    changed_sets,
    flips,
    other_case,
    robustness,
    share_difference,
    typo,
)
from edgepack.evidence.slices import Words, holm, slice_scores
from edgepack.task.dataset import Dataset, Example
from edgepack.task.encoded import IGNORED, Encoded
from edgepack.task.probabilities import log_probabilities
from edgepack.task.task import Task

TEXT = Task("text-classification", ("a", "b", "c"))
TAGS = Task("token-classification", ("O", "B-x", "I-x", "B-y"))


def texts(truth: list[int], decided: list[int], tokens: list[list[int]] | None = None, sure: float = 4.0) -> Labelled:
    """A model's answers to texts, of which every one has two tokens where nothing else is said."""
    ids = tokens or [[1, 2]] * len(truth)
    flat = np.array([i for row in ids for i in row], np.int32)
    offsets = np.cumsum([0, *map(len, ids)])
    encoded = Encoded(flat, np.zeros(len(flat), np.int8), offsets, np.array(truth))
    return Labelled(FormLogits("model", sure * np.eye(3)[decided].astype(np.float32), encoded), TEXT)


def sentences(truth: list[list[int]], decided: list[list[int]]) -> Labelled:
    """A tagger's answers; each sentence stands between two special tokens."""
    labels = np.array([x for row in truth for x in (IGNORED, *row, IGNORED)])
    answers = np.array([x for row in decided for x in (0, *row, 0)])
    offsets = np.cumsum([0, *(len(row) + 2 for row in truth)])
    zeros = np.zeros(len(labels), np.int32)
    encoded = Encoded(zeros, zeros.astype(np.int8), offsets, labels)
    return Labelled(FormLogits("model", np.eye(4, dtype=np.float32)[answers], encoded), TAGS)


def test_f1_of_each_label() -> None:
    truth = [0, 0, 0, 1, 1, 1]
    scores = class_scores(texts(truth, [0, 0, 0, 1, 1, 1]), texts(truth, [0, 0, 1, 1, 1, 1]))
    assert [(s.label, s.n) for s in scores] == [("a", 3), ("b", 3)]  # c does not occur
    assert [s.teacher for s in scores] == [1.0, 1.0]
    assert [s.artifact for s in scores] == pytest.approx([2 * 2 / (2 + 3), 2 * 3 / (4 + 3)])
    assert all(s.low <= s.artifact - s.teacher <= s.high for s in scores)


def test_two_equal_models_on_few_examples_have_wide_class_intervals() -> None:
    answers = texts([0] * 5 + [1] * 5, [0] * 5 + [1] * 5)
    scores = class_scores(answers, answers)
    assert all(s.low < -0.3 for s in scores)
    assert all(s.high == 0.0 for s in scores)  # a metric of 1 cannot grow


def test_f1_of_each_entity_type() -> None:
    truth = [[1, 2, 0], [3, 0, 1], [0, 0, 0]]  # x of two words, then y and x
    scores = class_scores(sentences(truth, truth), sentences(truth, [[1, 0, 0], [3, 0, 1], [0, 0, 0]]))
    assert [(s.label, s.n, s.teacher) for s in scores] == [("x", 2, 1.0), ("y", 1, 1.0)]
    assert [s.artifact for s in scores] == [0.5, 1.0]  # one of two x, and one wrong answer


def test_confusion_counts_truth_by_answer() -> None:
    assert confusion(texts([0, 0, 1, 2], [0, 1, 1, 0])) == (["a", "b", "c"], [[1, 1, 0], [0, 1, 0], [1, 0, 0]])
    labels, table = confusion(sentences([[1, 2, 3]], [[1, 0, 1]]))
    assert labels == ["O", "x", "y"]
    assert table == [[0, 0, 0], [1, 1, 0], [0, 1, 0]]


def test_a_slice_that_is_worse_is_found_and_the_others_are_not() -> None:
    """Rare words: token 9 is unknown to training. The artifact is wrong on most of them, and nowhere else."""
    truth = [0, 1] * 200
    rare = [i % 8 == 0 for i in range(400)]
    tokens = [[1, 9] if each else [1, 2] for each in rare]
    wrong = [(t + 1) % 2 if each and i % 3 else t for i, (t, each) in enumerate(zip(truth, rare, strict=True))]
    uses = np.full(10, 50)
    uses[9] = 1
    scores = slice_scores(texts(truth, truth, tokens), texts(truth, wrong, tokens), Words(uses, student_unknown=9))
    found = {(s.kind, s.name): s for s in scores}
    assert found["rare_words", "with rare words"].worse
    assert found["unknown_tokens", "with unknown tokens"].worse
    assert not found["rare_words", "without"].worse
    assert found["rare_words", "without"].p_value == 1.0
    assert found["label", "a"].worse
    assert not found["label", "b"].worse
    assert found["rare_words", "with rare words"].n == sum(rare)


def test_slices_of_length_part_the_examples() -> None:
    tokens = [[1] * (i % 30 + 2) for i in range(300)]
    answers = texts([0, 1] * 150, [0, 1] * 150, tokens)
    scores = [s for s in slice_scores(answers, answers, None) if s.kind == "length"]
    assert [s.name for s in scores] == ["up to 11 tokens", "12 to 21 tokens", "22 to 31 tokens"]
    assert sum(s.n for s in scores) == 300


def test_among_many_slices_without_a_difference_few_are_called_worse() -> None:
    """Of 200 data sets with 1 to 3 labels' slices and two equally good models, one slice in twenty sets may be."""
    generator, alarms = np.random.default_rng(0), 0
    for _ in range(200):
        truth = generator.integers(0, 3, 300)
        models = [np.where(generator.random(300) < 0.9, truth, (truth + 1) % 3) for _ in range(2)]
        scores = slice_scores(*(texts(list(truth), list(model)) for model in models), None)
        alarms += any(score.worse for score in scores)
    assert alarms / 200 < 0.05


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_calibration_error_by_hand() -> None:
    """Confidence e⁴ / (e⁴ + 2) = 0.965 on ten examples of which seven are right."""
    model = texts([0] * 10, [0] * 7 + [1] * 3)
    confidence = np.exp(4) / (np.exp(4) + 2)
    assert calibration_error(model.form.scored(), model.truth) == pytest.approx(confidence - 0.7)


def test_the_temperature_is_the_most_likely_one() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 3, 2_000)
    logits = 1.5 * np.eye(3)[truth] + generator.normal(0, 1, (2_000, 3))
    fitted = fit_temperature(logits, truth)

    def loss(temperature: float) -> float:
        probable, given = log_probabilities(logits / temperature), 1 / 2_002
        target = np.where(np.arange(logits.shape[1]) == truth[:, None], 1 - given, given / (logits.shape[1] - 1))
        return -float((target * probable).sum(axis=1).mean())

    assert fitted == pytest.approx(optimize.minimize_scalar(loss, bounds=(0.05, 20), method="bounded").x, rel=2e-3)
    assert fit_temperature(3 * logits, truth) == pytest.approx(3 * fitted, rel=2e-3)


def test_an_overconfident_artifact_is_scaled_and_a_small_set_is_left_alone() -> None:
    generator = np.random.default_rng(1)
    truth = generator.integers(0, 3, 1_000)
    decided = np.where(generator.random(1_000) < 0.8, truth, (truth + 1) % 3)
    teacher, artifact = (texts(list(truth), list(decided), sure=sure) for sure in (2.4, 9.0))
    found = calibration(teacher, artifact, fit_temperature(artifact.form.scored(), artifact.truth))
    assert found.artifact_ece == pytest.approx(0.2, abs=0.03)
    assert found.temperature > 2
    assert found.scaled_ece < found.artifact_ece / 3
    assert found.artifact_confidence > found.teacher_confidence
    few = calibration(texts([0, 1], [0, 1]), texts([0, 1], [0, 0]))
    assert few.temperature == 1.0
    assert few.scaled_ece == few.artifact_ece


def test_differing_examples_come_with_texts_and_labels_the_flips_first() -> None:
    truth = [0, 1, 2, 0]
    teacher, artifact = texts(truth, [0, 1, 2, 0]), texts(truth, [0, 2, 2, 0])
    artifact.form.logits[3] *= 0.5  # less sure, same answer
    data = Dataset(tuple(Example(f"text {i} {'x' * 400}", None, None, t) for i, t in enumerate(truth)), "data", "0")
    found = differing_examples(teacher, artifact, data)
    assert [(d.text[:6], d.truth, d.teacher, d.artifact) for d in found] == [
        ("text 1", "b", "b", "c"),
        ("text 3", "a", "a", "a"),
    ]
    assert len(found[0].text) == 300
    assert found[0].divergence > found[1].divergence > 0


def test_differing_sentences_show_their_tags() -> None:
    truth = [[1, 2], [0, 3]]
    data = Dataset(tuple(Example("", None, ("ann", "lee"), tuple(t)) for t in truth), "data", "0")
    (found,) = differing_examples(sentences(truth, truth), sentences(truth, [[1, 0], [0, 3]]), data)
    assert (found.text, found.truth, found.artifact) == ("ann lee", "B-x I-x", "B-x O")


def test_words_are_changed_as_they_are_mistyped() -> None:
    draw = random.Random(0)
    assert (other_case("word", draw), other_case("WORD", draw), other_case("12", draw)) == ("WORD", "word", "12")
    assert typo("word", draw) == "wrod"
    assert accent("strength", draw) == "stréngth"
    assert accent("xyz", draw) == "xyz"


def test_a_sample_is_changed_in_every_way_and_always_alike() -> None:
    data = Dataset(tuple(Example(f"some words of text {i}", "pair", None, 0) for i in range(SAMPLE + 50)), "data", "0")
    sets = changed_sets(data)
    assert set(sets) == {"", "case", "typos", "spacing", "emoji", "accents"}
    assert all(len(changed) == SAMPLE for changed in sets.values())
    assert {name: s.examples for name, s in sets.items()} == {n: s.examples for n, s in changed_sets(data).items()}
    for name, changed in sets.items():
        pairs = list(zip(changed.examples, sets[""].examples, strict=True))
        assert all((a.text != b.text) == bool(name) and a.pair == b.pair for a, b in pairs)


def test_words_of_a_tagging_task_keep_their_number() -> None:
    data = Dataset((Example("", None, ("Anna", "lives", "here"), (1, 0, 0)),), "data", "0")
    sets = changed_sets(data)
    assert set(sets) == {"", "case", "typos", "accents"}
    assert all(len(s.examples[0].words or ()) == 3 for s in sets.values())


def test_flips_are_counted_where_the_teacher_does_not_flip() -> None:
    data = Dataset(tuple(Example(f"words {i}", None, None, 0) for i in range(20)), "data", "0")
    sets = changed_sets(data)

    def steady(texts: Dataset) -> list[tuple[int, ...]]:
        return [(0,)] * len(texts)

    def nervous(texts: Dataset) -> list[tuple[int, ...]]:
        return [(int(example.text.isupper()),) for example in texts.examples]

    found = {r.change: r for r in robustness(flips(sets, steady), flips(sets, nervous))}
    assert (found["case"].n, found["case"].teacher_flips, found["case"].artifact_flips) == (20, 0, 20)
    assert found["case"].flips_alone == 20
    assert found["case"].low > 0.5
    assert (found["typos"].flips_alone, found["typos"].artifact_flips) == (0, 0)
    assert found["typos"].low < 0 < found["typos"].high
    both = robustness(flips(sets, nervous), flips(sets, nervous))
    assert all(r.flips_alone == 0 for r in both)


def test_the_interval_of_a_share_is_agresti_and_mins() -> None:
    low, high = share_difference(12, 2, 100)  # b + 1/2, c + 1/2, n + 2
    middle, spread = 10 / 102, np.sqrt(12.5 + 2.5 - 10**2 / 102) / 102
    assert (low, high) == pytest.approx((middle - 1.959964 * spread, middle + 1.959964 * spread))


def test_decisions_are_grouped_by_example() -> None:
    model = sentences([[1, 2], [3]], [[1, 0], [3]])
    assert decisions_of(model.form.logits, model.form.encoded, TAGS) == [(1, 0), (3,)]
