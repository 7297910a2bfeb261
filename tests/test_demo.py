"""The demo's task: big enough, seeded, and a test split of phrasings that training never sees."""

from __future__ import annotations

import csv
import re
from collections import Counter
from itertools import product
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from edgepack.bundle.manifest import BundleManifest, LinearRecord, MetricRecord
from edgepack.demo.base import write_base
from edgepack.demo.grammar import CHOICE, SLOT, grammar, utterances, write_demo
from edgepack.demo.run import linear_note


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def wordings(phrasing: str) -> set[str]:
    """All that a phrasing can become before its slots are filled, without polite words around it."""
    parts = re.split(r"(\([^()]*\)|\[[^\[\]]*\])", phrasing)
    choices = [
        part[1:-1].split("|") + ([""] if part.startswith("[") else []) if CHOICE.fullmatch(part) else [part]
        for part in parts
    ]
    return {bare(" ".join("".join(chosen).split())) for chosen in product(*choices)}


def bare(text: str) -> str:
    """The text without polite words at its ends."""
    polite = grammar()["politeness"]
    before = rf"^(?:(?:{'|'.join(map(re.escape, polite['before']))}) )*"
    after = rf"(?: (?:{'|'.join(map(re.escape, polite['after']))}))*$"
    return re.sub(after, "", re.sub(before, "", text))


def test_the_size_that_the_demo_promises(tmp_path: Path) -> None:
    train, test = (read(path) for path in write_demo(tmp_path))
    assert len(train) >= 3000
    assert len(test) >= 600
    intents = Counter(row["intent"] for row in test)
    assert len(intents) >= 12
    assert set(intents) == {row["intent"] for row in train}
    assert max(intents.values()) == min(intents.values())


def test_no_sentence_stands_twice_or_in_both(tmp_path: Path) -> None:
    train, test = ([row["text"] for row in read(path)] for path in write_demo(tmp_path))
    assert len(set(train)) == len(train)
    assert len(set(test)) == len(test)
    assert not set(train) & set(test)


def test_no_test_phrasing_is_ever_trained_on() -> None:
    train = {w for intent in grammar()["intents"].values() for p in intent["train"] for w in wordings(p)}
    test = {w for intent in grammar()["intents"].values() for p in intent["test"] for w in wordings(p)}
    assert not train & test


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_phrasing_belongs_to_one_intent_and_is_used(split: str) -> None:
    owners: dict[str, set[str]] = {}
    for intent, phrasings in grammar()["intents"].items():
        for phrasing in phrasings[split]:
            for wording in wordings(phrasing):
                owners.setdefault(wording, set()).add(intent)
    assert {wording: intents for wording, intents in owners.items() if len(intents) > 1} == {}
    used = {utterance.phrasing for utterance in utterances(split, 300 if split == "train" else 50)}
    everything = {p for intent in grammar()["intents"].values() for p in intent[split]}
    assert everything - used == set()


def test_sentences_are_clean() -> None:
    for utterance in utterances("train", 50):
        assert utterance.text == " ".join(utterance.text.split())
        assert not SLOT.search(utterance.text)
        assert not set("()[]{}|\t") & set(utterance.text)


def test_the_seed_decides(tmp_path: Path) -> None:
    one, again, other = (
        [path.read_bytes() for path in write_demo(tmp_path / name, seed)]
        for name, seed in [("a", 0), ("b", 0), ("c", 1)]
    )
    assert one == again
    assert one[0] != other[0]
    assert one[1] != other[1]


def test_the_base_is_the_same_each_time_and_reads_the_sentences(tmp_path: Path) -> None:
    train, _ = write_demo(tmp_path)
    one, again = (write_base(tmp_path / name, train) for name in ("one", "again"))
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert (one / name).read_bytes() == (again / name).read_bytes(), name
    tokenizer = AutoTokenizer.from_pretrained(one)
    assert 1000 < len(tokenizer) <= 2000
    tokens = tokenizer("Wake me up at SEVEN, zyzzyva!").tokens()
    assert tokens[:4] == ["[CLS]", "wake", "me", "up"]
    assert tokens[-1] == "[SEP]"
    assert "[UNK]" not in tokens[:7]


@pytest.mark.parametrize(("linear", "is_better"), [(0.95, True), (0.5, False)])
def test_the_demo_says_why_a_linear_model_is_better_there(linear: float, is_better: bool) -> None:
    def metric(value: float) -> MetricRecord:
        return MetricRecord(name="accuracy", value=value, low=value, high=value, n=100)

    record = LinearRecord(bytes=1000, metric=metric(linear), features="words", trained="here")
    note = linear_note(BundleManifest.model_construct(linear=record, metrics={"artifact": metric(0.9)}))
    assert "a linear model of" in note
    assert ("began with random weights" in note) == is_better
    assert linear_note(BundleManifest.model_construct(linear=None, metrics={})) == ""
