"""The linear tagger: its file and bytes, chains that the scheme allows, words that are scored; its gate check."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgepack.bundle.linear import in_manifest
from edgepack.bundle.manifest import LinearRecord
from edgepack.bundle.verdict import Verdict
from edgepack.demo.base import make_tokenizer
from edgepack.evidence.linear import tagging
from edgepack.evidence.linear.measure import measure_linear
from edgepack.evidence.linear.tag_model import FORBIDDEN, Transitions, read_tagger
from edgepack.evidence.linear.tag_statistics import numbered, tag_statistics
from edgepack.evidence.linear.tagging import allowed_pairs, train_tagger
from edgepack.evidence.linear.training import fills_no_more
from edgepack.evidence.linear.word_features import WordFeatures, shape, short
from edgepack.evidence.linear_check import gain_interval, linear_check, linear_faults
from edgepack.evidence.noninferiority import recorded
from edgepack.evidence.paired_ratio import paired_rows
from edgepack.evidence.policy import Policy
from edgepack.evidence.validate import metric_record
from edgepack.task.dataset import Dataset, Example
from edgepack.task.schemes import labels_of
from edgepack.task.task import Task
from edgepack.task.tokenize import encode

BIO = Task("token-classification", labels_of(("city", "name"), "BIO"))
PLAIN = Task("token-classification", ("NOUN", "VERB"), scheme="plain")
NAMES, CITIES = ("Anna", "Ben", "Carla"), ("Rome", "Lima", "Oslo")


def sentences(count: int, seed: int) -> Dataset:
    """A name of one or two words, and a city that only the word before it tells from a name."""
    generator = np.random.default_rng(seed)
    examples = []
    for _ in range(count):
        words, tags = ["today"], [0]
        for _ in range(int(generator.integers(1, 3))):
            first, last = generator.choice(NAMES), generator.choice(("Smith", "Jones", ""))
            words, tags = [*words, first], [*tags, 3]
            if last:
                words, tags = [*words, last], [*tags, 4]
            words, tags = [*words, "left", "for", generator.choice((*CITIES, *NAMES))], [*tags, 0, 0, 1]
        examples.append(Example(" ".join(words), None, tuple(map(str, words)), tuple(tags)))
    return Dataset(tuple(examples), "made", "")


TRAIN, EVALUATION = sentences(200, 0), sentences(40, 1)


def test_it_learns_from_words_and_neighbours_and_ships_what_its_record_says() -> None:
    result = measure_linear(TRAIN, EVALUATION, BIO, 20_000)
    assert result.record is not None
    assert result.right is not None
    assert result.tags is not None
    assert (result.record.metric.name, result.record.metric.value, result.record.metric.n) == ("entity_f1", 1.0, 40)
    assert result.record.bytes == len(result.data) <= 20_000
    assert "on the tags of 200 training examples" in result.record.trained
    assert "neighbours" in result.record.features
    assert BIO.metric(result.right) == 1.0
    assert len(result.tags) == sum(len(example.words or ()) for example in EVALUATION.examples)


def test_the_file_is_the_same_for_the_same_seed_and_read_back_as_it_was_written() -> None:
    one, again = (train_tagger(TRAIN, BIO, 20_000, seed=3) for _ in range(2))
    assert one[0].to_bytes() == again[0].to_bytes()
    assert one[1] == again[1]
    back = read_tagger(one[0].to_bytes())
    assert back.features == one[0].features
    assert np.array_equal(back.tags(EVALUATION.examples), one[0].tags(EVALUATION.examples))
    with pytest.raises(ValueError, match="no linear tagger"):
        read_tagger(b"EPLM" + one[0].to_bytes()[4:])


@pytest.mark.parametrize("budget", [300, 2_000, 100_000])
def test_its_bytes_are_within_the_budget(budget: int) -> None:
    model, _ = train_tagger(TRAIN, BIO, budget)
    assert len(model.to_bytes()) <= budget


def test_a_larger_budget_that_changes_nothing_is_known() -> None:
    data = train_tagger(TRAIN, BIO, 4_000_000)[0].to_bytes()
    assert fills_no_more(data, 8_000_000)
    assert not fills_no_more(train_tagger(TRAIN, BIO, 2_000)[0].to_bytes(), 8_000_000)


def test_many_words_are_learnt_by_gradient_descent_and_too_many_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tagging, "EXACT_WORK", 1_000)
    found = measure_linear(TRAIN, EVALUATION, BIO, 20_000)
    assert found.record is not None
    assert found.record.metric.value > 0.95
    assert "by gradient descent" in found.record.trained
    assert found.data == measure_linear(TRAIN, EVALUATION, BIO, 20_000).data
    monkeypatch.setattr(tagging, "MOST_WORDS", 500)
    part = measure_linear(TRAIN, EVALUATION, BIO, 20_000).record
    assert part is not None
    assert re.search(r"on the tags of \d\d of 200 training examples", part.trained)


def test_where_there_can_be_none_there_is_a_reason() -> None:
    assert measure_linear(TRAIN, EVALUATION, BIO, 40).reason == "none: no linear model of 4 tags fits in 40 bytes"
    outside = replace(TRAIN, examples=tuple(e._replace(label=(0,) * len(e.words or ())) for e in TRAIN.examples))
    reason = measure_linear(outside, EVALUATION, BIO, 9_999).reason
    assert "all training words are O; a linear model needs two tags" in reason


def test_two_tags_share_a_column_and_plain_tags_are_counted_by_words() -> None:
    def plain(data: Dataset) -> Dataset:
        examples = (e._replace(label=tuple(int(word == "left") for word in e.words or ())) for e in data.examples)
        return replace(data, examples=tuple(examples))

    result = measure_linear(plain(TRAIN), plain(EVALUATION), PLAIN, 5_000)
    assert result.record is not None
    assert (result.record.metric.name, result.record.metric.value) == ("word_accuracy", 1.0)
    assert read_tagger(result.data).weights.shape[0] == 1


# ---- chains


@pytest.mark.parametrize("seed", range(5))
def test_the_chain_is_the_best_of_all(seed: int) -> None:
    generator, count = np.random.default_rng(seed), 3
    allowed = generator.random((count + 1, count + 1)) < 0.8
    chain = Transitions.rounded(generator.normal(size=allowed.shape), allowed)
    lengths = np.array([3, 0, 4, 1])
    scores = generator.normal(size=(int(lengths.sum()), count)).astype(np.float32)
    found, table, start = chain.best(scores, lengths), chain.scores, 0

    def value(tags: tuple[int, ...], first: int) -> float:
        own = sum(float(scores[first + place, tag]) for place, tag in enumerate(tags))
        return own + sum(float(table[a, b]) for a, b in itertools.pairwise((count, *tags, count)))

    for length in lengths[lengths > 0]:
        best = max(itertools.product(range(count), repeat=int(length)), key=lambda tags: value(tags, start))
        assert value(tuple(found[start : start + length]), start) == pytest.approx(value(best, start), abs=1e-3)
        start += int(length)


FOLLOWING = {  # tags behind O and at the end, and behind the first of an entity of two words
    "BIO": ({"O", "B-a", "B-b"}, {"O", "B-a", "I-a", "B-b"}),
    "IOB1": ({"O", "I-a", "I-b"}, {"O", "B-a", "I-a", "I-b"}),
    "IOBES": ({"O", "B-a", "S-a", "B-b", "S-b"}, {"I-a", "E-a"}),
    "BILOU": ({"O", "B-a", "U-a", "B-b", "U-b"}, {"I-a", "L-a"}),
    "IO": ({"O", "I-a", "I-b"}, {"O", "I-a", "I-b"}),
    "types": ({"O", "a", "b"}, {"O", "a", "b"}),
}


@pytest.mark.parametrize("scheme", FOLLOWING)
def test_only_what_the_scheme_allows_stands_behind_a_tag(scheme: Any) -> None:
    labels = labels_of(("a", "b"), scheme)
    allowed = allowed_pairs(Task("token-classification", labels, scheme=scheme), np.arange(len(labels)))
    behind = [{label for label, may in zip(labels, row, strict=False) if may} for row in allowed]
    outside, inside = FOLLOWING[scheme]
    first = labels.index({"IOB1": "I-a", "IO": "I-a", "types": "a"}.get(scheme, "B-a"))
    assert behind[0] == behind[-1] == outside
    assert behind[first] == inside
    assert allowed[first, -1] == ("O" in inside)


def test_random_scores_give_chains_of_the_scheme() -> None:
    task = Task("token-classification", labels_of(("a", "b"), "IOBES"))
    allowed = allowed_pairs(task, np.arange(len(task.labels)))
    chain = Transitions.rounded(np.zeros(allowed.shape), allowed)
    assert (chain.table == FORBIDDEN).sum() == (~allowed).sum()
    scores = np.random.default_rng(0).normal(size=(60, len(task.labels))).astype(np.float32)
    for tags in chain.best(scores, np.array([20, 40])).reshape(3, 20)[:1]:
        ends = [len(task.labels), *tags, len(task.labels)]
        assert all(allowed[a, b] for a, b in itertools.pairwise(ends))


def test_features_of_a_word_do_not_reach_into_the_next_sentence() -> None:
    features = WordFeatures(2**12)
    alone = features.rows([Example("a b", None, ("a", "b"), (0, 0))])
    among = features.rows([Example("", None, words, ()) for words in (("x", "y"), ("a", "b"), ("z",))])
    assert (among[2:4] != alone).nnz == 0
    assert np.asarray(alone.power(2).sum(axis=1)).ravel() == pytest.approx([1, 1])
    assert (shape("McDonald-7"), short("XxXxxxxx-d")) == ("XxXxxxxx-d", "XxXx-d")


# ---- what is compared


def test_the_words_that_are_scored_are_those_with_tokens() -> None:
    """As the artifact's statistics have them: a sentence is cut, and a word has no token."""
    data = Dataset((*EVALUATION.examples, Example("\u200b Anna", None, ("\u200b", "Anna"), (0, 3))), "made", "")
    tokenizer = make_tokenizer([example.text for example in EVALUATION.examples])
    words = encode(numbered(data), BIO, tokenizer, 7)
    encoded = encode(data, BIO, tokenizer, 7)
    truth = np.concatenate([np.array(example.label) for example in data.examples])
    logits = np.zeros((len(encoded.labels), len(BIO.labels)), np.float32)
    logits[encoded.scored, encoded.labels[encoded.scored]] = 1
    right = BIO.statistics(logits, encoded)
    assert np.array_equal(tag_statistics(truth, data.examples, BIO, words), right)
    assert right[:, 2].sum() < tag_statistics(truth, data.examples, BIO)[:, 2].sum()


def record(own: float, other: float) -> tuple[LinearRecord, np.ndarray]:
    """An artifact and a linear model that miss about these shares of the entities; and the artifact's statistics."""
    generator, gold = np.random.default_rng(0), np.full(300, 4)
    sides = [np.stack([generator.binomial(4, 1 - miss, 300), gold, gold], axis=1) for miss in (own, other)]
    metric = metric_record(sides[1], BIO)
    rows = recorded(paired_rows(*sides))
    return LinearRecord(bytes=9, metric=metric, features="words", trained="so", rows=rows), sides[0]


def verdict(linear: LinearRecord, artifact: np.ndarray) -> Verdict:
    known = {"target": "android-onnx", "passed": True, "checks": [], "shipped_bytes": 1, "budget_bytes": 1}
    return Verdict.model_validate({**known, "metrics": {"artifact": metric_record(artifact, BIO)}, "linear": linear})


@pytest.mark.parametrize(
    ("own", "other", "status"), [(0.05, 0.3, "passed"), (0.19, 0.24, "undecided"), (0.3, 0.05, "failed")]
)
def test_the_gate_decides_by_the_interval_of_the_same_sentences(own: float, other: float, status: str) -> None:
    found, artifact = record(own, other)
    judged = verdict(found, artifact)
    check = linear_check(judged, Policy(min_gain_over_linear=0.05), 0.05)
    assert check.status == status, check.reason
    low, high = gain_interval(found, 0.95)
    assert low < BIO.metric(artifact) - found.metric.value < high
    assert linear_faults(judged) == []
    again = Verdict.model_validate_json(judged.model_dump_json())
    assert again.linear == found
    kept = in_manifest(found)
    assert kept is not None
    assert "rows" not in json.loads(kept.model_dump_json())


def test_rows_that_cannot_be_are_a_fault() -> None:
    found, artifact = record(0.1, 0.3)
    other_gold = [[*row[:5], row[5] + 1, row[6]] for row in found.rows]
    fewer = [[row[0] - 1 if row[0] else 0, *row[1:]] for row in found.rows]
    for rows, said in ((other_gold, "not those of two models"), (fewer, "the artifact another metric")):
        faults = linear_faults(verdict(found.model_copy(update={"rows": rows}), artifact))
        assert any(said in fault for fault in faults), faults
