"""Tagging schemes: the same entities whichever a file is written in; entities by position as words with tags."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack.errors import InputError
from edgepack.task.encoded import Encoded
from edgepack.task.examples import read_dataset, read_labels, read_tag_scheme
from edgepack.task.reading.spans import split_words, tag_words
from edgepack.task.schemes import SchemeName, labels_of, scheme_of_labels
from edgepack.task.tags import convert_tags
from edgepack.task.task import Task

BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
IO = ("O", "I-PER", "I-LOC")
# two neighbours of one type, then one of two words, and a single one
ENTITIES = ("B-PER", "I-PER", "B-PER", "O", "B-LOC", "I-LOC", "B-PER")
SCHEMES: dict[str, tuple[str, ...]] = {
    "IOB1": ("I-PER", "I-PER", "B-PER", "O", "I-LOC", "I-LOC", "I-PER"),
    "IOBES": ("B-PER", "E-PER", "S-PER", "O", "B-LOC", "E-LOC", "S-PER"),
    "BILOU": ("B-PER", "L-PER", "U-PER", "O", "B-LOC", "L-LOC", "U-PER"),
    "BIO with entities that begin with I-": ("B-PER", "I-PER", "B-PER", "O", "I-LOC", "I-LOC", "B-PER"),
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_becomes_the_teachers(scheme: str) -> None:
    found = convert_tags([SCHEMES[scheme]], ["f:1"], BIO)
    assert found.rows == (ENTITIES,)
    assert found.scheme == scheme
    assert found.changed == sum(a != b for a, b in zip(SCHEMES[scheme], ENTITIES, strict=True))


def test_a_scheme_shows_over_all_rows_only() -> None:
    rows = [("B-PER", "I-PER", "O"), ("S-LOC", "O", "B-PER"), ("O",)]
    assert convert_tags(rows, ["f:1", "f:2", "f:3"], BIO).scheme == "IOBES"


def test_bio_stays_as_it_is() -> None:
    assert convert_tags([ENTITIES], ["f:1"], BIO) == convert_tags([ENTITIES], ["f:1"], BIO)
    assert (convert_tags([ENTITIES], ["f:1"], BIO).rows, convert_tags([ENTITIES], ["f:1"], BIO).scheme) == (
        (ENTITIES,),
        "",
    )


@pytest.mark.parametrize("tags", [("PER", "PER", "O", "LOC"), ("I-PER", "I-PER", "O", "I-LOC")])
def test_io_with_and_without_prefixes(tags: tuple[str, ...]) -> None:
    assert convert_tags([tags], ["f:1"], BIO).rows == (("B-PER", "I-PER", "O", "B-LOC"),)
    assert convert_tags([tags], ["f:1"], IO).rows == (("I-PER", "I-PER", "O", "I-LOC"),)


def test_a_teacher_without_b_gets_io(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"tokens": list("abcdefg"), "tags": list(ENTITIES)}))
    data = read_dataset(str(path), Task("token-classification", IO))
    assert data.examples[0].label == (1, 1, 1, 0, 2, 2, 1)
    assert "tags are BIO; 4 of them are rewritten in the teacher's scheme" in data.notes[0].text


def test_spellings_of_prefixes(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"tokens": list("abcd"), "tags": ["B_PER", "i-per", "o", "B-Loc"]}))
    assert read_dataset(str(path), Task("token-classification", BIO)).examples[0].label == (1, 2, 0, 3)


def test_schemes_of_labels() -> None:
    told = {
        BIO: "BIO",
        IO: "IO",
        ("O", "E-x", "B-x"): "IOBES",
        ("B", "M", "E", "S"): "IOBES",
        ("O", "U-x"): "BILOU",
        ("O", "PER"): "types",
        ("NOUN", "VERB"): "plain",
        ("O", "b_per", "i_per"): "BIO",
        ("O", "B-PER", "I-PER", "I-LOC"): "IOB1",  # in BIO a LOC would begin with B-
        ("B-a-b", "I-a-b"): "BIO",
    }
    assert {labels: scheme_of_labels(labels) for labels in told} == told


ALL: dict[SchemeName, tuple[str, ...]] = {
    "BIO": ENTITIES,
    "IOB1": SCHEMES["IOB1"],
    "IO": ("I-PER", "I-PER", "I-PER", "O", "I-LOC", "I-LOC", "I-PER"),
    "IOBES": SCHEMES["IOBES"],
    "BILOU": SCHEMES["BILOU"],
    "types": ("PER", "PER", "PER", "O", "LOC", "LOC", "PER"),
}


@pytest.mark.parametrize("target", ALL)
@pytest.mark.parametrize("source", ["BIO", "IOB1", "IOBES", "BILOU"])
def test_data_of_a_scheme_for_a_teacher_of_another(source: SchemeName, target: SchemeName) -> None:
    labels = labels_of(("LOC", "PER"), target)
    found = convert_tags([ALL[source]], ["f:1"], labels, target)
    assert found.rows == (ALL[target],)
    assert found.joined == (target in ("IO", "types"))
    assert (found.scheme == "") == (source == target)
    assert scheme_of_labels(labels) == target.replace("IOB1", "BIO")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("o", "b_PER", "i_PER", "e_PER", "s_PER"), ("b_PER", "e_PER", "s_PER", "o")),
        (("O", "B-PER", "M-PER", "E-PER", "S-PER"), ("B-PER", "E-PER", "S-PER", "O")),
        (("O", "B-PER", "I-PER", "E-PER"), ("B-PER", "E-PER", "B-PER", "O")),  # BIOE: no S-
        (("O", "I-PER", "B-LOC", "I-LOC"), ("I-PER", "I-PER", "I-PER", "O")),  # IOB1 that never needed B-PER
    ],
)
def test_tags_are_spelled_as_the_teachers(labels: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert convert_tags([("B-PER", "I-PER", "B-PER", "O")], ["f:1"], labels).rows == (expected,)


def test_entities_that_run_together_are_said(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"tokens": list("ab"), "tags": ["B-PER", "B-PER"]}))
    (note,) = read_dataset(str(path), Task("token-classification", IO)).notes
    assert note.text.endswith("; 1 entities run together with the one before, since no tag of the teacher's parts them")


@pytest.mark.parametrize("labels", [("O", "B-PER", "X"), ("O", "B-PER", "[SEP]"), ("B-PER", "NOUN")])
def test_labels_of_no_scheme_are_refused_and_can_be_named(labels: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"is no tag of BIO as .* is: .*--tag-scheme \(BIO, IOB1, IO"):
        Task("token-classification", labels)
    assert Task("token-classification", labels, scheme="plain").metric_name == "word_accuracy"


def test_unnamed_tags_need_a_name() -> None:
    with pytest.raises(InputError, match=r"write their names into id2label .* or pass --tag-scheme plain"):
        Task("token-classification", ("LABEL_0", "LABEL_1"))
    assert Task("token-classification", ("LABEL_0", "LABEL_1"), scheme="plain").tag_scheme == "plain"
    with pytest.raises(InputError, match="the tag scheme of text-classification is 'BIO'"):
        Task("text-classification", ("a", "b"), scheme="BIO")


def test_plain_tags_are_counted_word_by_word(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"tokens": ["a", "dog"], "tags": ["DET", "NOUN"]}))
    task = Task("token-classification", ("DET", "NOUN", "VERB"))
    assert read_dataset(str(path), task).examples[0].label == (0, 1)
    labels = np.array([-100, 0, 1, -100, -100, 2, -100])
    encoded = Encoded(np.zeros(7, np.int32), np.zeros(7, np.int8), np.array([0, 4, 7]), labels)
    logits = np.eye(3)[[0, 0, 2, 1, 1, 2, 0]]
    assert task.statistics(logits, encoded).tolist() == [[1, 2], [1, 1]]
    assert task.score(logits, encoded) == pytest.approx(2 / 3)
    assert (task.metric_name, task.finds_entities, task.class_names) == ("word_accuracy", False, task.labels)


@pytest.mark.parametrize(
    ("tags", "wanted", "scheme", "labels"),
    [
        (ALL["IOBES"], None, "BIO", ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")),
        (ALL["IOBES"], "data", "IOBES", labels_of(("LOC", "PER"), "IOBES")),
        (ALL["IOB1"], "data", "IOB1", ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")),
        (ALL["types"], "data", "types", ("O", "LOC", "PER")),
        (ALL["BIO"], "BILOU", "BILOU", labels_of(("LOC", "PER"), "BILOU")),
        (("DET", "NOUN"), None, "plain", ("DET", "NOUN")),
    ],
)
def test_the_scheme_of_a_teacher_that_is_made(
    tmp_path: Path, tags: tuple[str, ...], wanted: str | None, scheme: str, labels: tuple[str, ...]
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"tokens": list("abcdefg")[: len(tags)], "tags": tags}))
    found = read_tag_scheme(str(path), wanted=wanted)
    assert found == scheme
    assert read_labels(str(path), scheme=found) == labels


@pytest.mark.parametrize("tags", ["PER-B PER-I", "B:PER I:PER", "BPER IPER", "PER_B PER_I", "B–PER I–PER"])
def test_marks_in_another_place_are_no_types(tmp_path: Path, tags: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"tokens": ["a", "b", "c"], "tags": ["O", *tags.split()]}))
    for read in (
        lambda: read_labels(str(path)),
        lambda: read_dataset(str(path), Task("token-classification", ("O", "B-PER", "I-PER"))),
    ):
        with pytest.raises(InputError, match=r"a\.jsonl:1: tags are .*: B and I must stand before the type"):
            read()
    own = Task("token-classification", ("O", "BT", "IT"), scheme="types")  # a teacher's own types are what they are
    path.write_text(json.dumps({"tokens": ["a", "b", "c"], "tags": ["O", "BT", "IT"]}))
    assert read_dataset(str(path), own).examples[0].label == (0, 1, 2)


def test_a_type_that_looks_like_an_end_makes_no_teacher(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"tokens": ["a", "b"], "tags": ["O", "E-mail"]}))
    with pytest.raises(InputError, match=r":1: tag 'E-mail' ends an entity of type 'mail', and no tag begins one"):
        read_tag_scheme(str(path))
    path.write_text(json.dumps({"tokens": ["a", "b", "c"], "tags": ["B-x", "E-x", "S-y"]}))
    assert read_tag_scheme(str(path), wanted="data") == "IOBES"


def test_a_scheme_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"tokens": ["a"], "tags": ["NOUN"]}))
    with pytest.raises(InputError, match=r"none of its tags is O, .*can only be plain"):
        read_tag_scheme(str(path), wanted="BIO")
    with pytest.raises(InputError, match="tag scheme is 'IOBX'; allowed: data, BIO"):
        read_tag_scheme(str(path), wanted="IOBX")
    path.write_text(json.dumps({"text": "a", "label": "b"}))
    with pytest.raises(InputError, match="--tag-scheme goes with tagged words"):
        read_tag_scheme(str(path), wanted="BIO")


# ---- entities by position


@pytest.mark.parametrize(
    ("text", "entities", "expected", "moved"),
    [
        ("Anna's flat", [[0, 4, "PER"]], [("Anna", "B-PER"), ("'", "O"), ("s", "O"), ("flat", "O")], 0),
        ("in New York.", [[3, 11, "LOC"]], [("in", "O"), ("New", "B-LOC"), ("York", "I-LOC"), (".", "O")], 0),
        ("in New York", [[2, 11, "LOC"]], [("in", "O"), ("New", "B-LOC"), ("York", "I-LOC")], 1),  # a space in front
        ("Yorkshire", [[0, 4, "LOC"]], [("Yorkshire", "B-LOC")], 1),
        ("😀 Anna", [[2, 6, "PER"]], [("😀", "O"), ("Anna", "B-PER")], 0),
        ("我在北京", [[2, 4, "LOC"]], [("我", "O"), ("在", "O"), ("北", "B-LOC"), ("京", "I-LOC")], 0),
        ("हिन्दी बोलो", [[0, 6, "x"]], [("हिन्दी", "B-x"), ("बोलो", "O")], 0),  # vowel signs are no ends of words
        ("a b", [[2, 3, "x"], [0, 1, "y"]], [("a", "B-y"), ("b", "B-x")], 0),
        ("a b", [], [("a", "O"), ("b", "O")], 0),
    ],
)
def test_entities_by_position(text: str, entities: list[object], expected: list[tuple[str, str]], moved: int) -> None:
    found = tag_words("f:1", text, entities)
    assert list(zip(found.words, found.tags, strict=True)) == expected
    assert found.moved == moved


def test_moved_ends_are_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "Yorkshire is nice", "entities": [[0, 4, "LOC"]]}')
    notes = read_dataset(str(path), Task("token-classification", BIO)).notes
    assert [note.warning for note in notes] == [True]
    assert "1 of them had an end inside a word, or spaces at an end, and take whole words" in notes[0].text


# ---- properties

TYPES = st.sampled_from(["PER", "LOC"])
SEQUENCES = st.lists(
    st.lists(st.tuples(TYPES | st.none(), st.integers(1, 3)), min_size=1, max_size=6), min_size=1, max_size=4
)


def written(row: list[tuple[str | None, int]], scheme: str) -> tuple[str, ...]:
    """A row of (type, length) as tags."""
    tags: list[str] = []
    previous = None
    for kind, length in row:
        if kind is None:
            tags += ["O"] * length
        elif scheme == "BIO":
            tags += [f"B-{kind}", *[f"I-{kind}"] * (length - 1)]
        elif scheme == "IOB1":
            tags += [f"{'B' if previous == kind else 'I'}-{kind}", *[f"I-{kind}"] * (length - 1)]
        else:
            single, last = ("S", "E") if scheme == "IOBES" else ("U", "L")
            inner = [f"B-{kind}", *[f"I-{kind}"] * (length - 2), f"{last}-{kind}"]
            tags += inner if length > 1 else [f"{single}-{kind}"]
        previous = kind
    return tuple(tags)


@given(SEQUENCES, st.sampled_from(["IOB1", "IOBES", "BILOU"]))
def test_conversion_keeps_every_entity(rows: list[list[tuple[str | None, int]]], scheme: str) -> None:
    given_rows = [written(row, scheme) for row in rows]
    places = [f"f:{i}" for i in range(len(rows))]
    if not any(tag != "O" for row in given_rows for tag in row):
        return
    assert convert_tags(given_rows, places, BIO).rows == tuple(written(row, "BIO") for row in rows)


@given(st.text(max_size=60))
def test_words_cover_all_that_is_visible(text: str) -> None:
    words = list(split_words(text))
    assert all(a < b <= c for (a, b), (c, _) in pairwise(words))
    covered = {place for start, end in words for place in range(start, end)}
    assert all(
        text[place].isspace() or not text[place].isprintable() or text[place] == " "
        for place in range(len(text))
        if place not in covered
    )


@given(st.text("ab 😀.", min_size=1, max_size=30), st.data())
def test_an_entity_of_whole_words_comes_back(text: str, data: st.DataObject) -> None:
    words = list(split_words(text))
    if not words:
        return
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first, len(words) - 1))
    found = tag_words("f:1", text, [[words[first][0], words[last][1], "x"]])
    assert found.moved == 0
    assert [i for i, tag in enumerate(found.tags) if tag != "O"] == list(range(first, last + 1))
