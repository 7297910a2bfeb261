"""Which class id a label means: by name or by id, by one convention, and everything that is not plain is said."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack.errors import InputError
from edgepack.task.examples import Columns, Dataset, read_both, read_dataset, read_labels
from edgepack.task.reading.labels import FileLabels, match_labels
from edgepack.task.task import Task

TOPICS = ("kitchen", "garden", "office")
STARS = ("1", "2", "3", "4", "5")


def task(*labels: str) -> Task:
    return Task("text-classification", labels)


def tsv(folder: Path, name: str, labels: list[object], header: str = "text\tlabel") -> str:
    path = folder / f"{name}.tsv"
    path.write_text(header + "\n" + "".join(f"{name} {i}\t{label}\n" for i, label in enumerate(labels)))
    return str(path)


def jsonl(folder: Path, name: str, rows: list[dict[str, object]]) -> str:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps({"text": f"{name} {i}", **row}) + "\n" for i, row in enumerate(rows)))
    return str(path)


def parquet(folder: Path, name: str, numbers: list[object], names: list[str], feature: object = None) -> str:
    """A file as `datasets` writes it: integer labels, and their names in the metadata."""
    said = feature or {"names": names, "_type": "ClassLabel"}
    table = pa.table({"text": [f"{name} {i}" for i in range(len(numbers))], "label": numbers})
    metadata = {"huggingface": json.dumps({"info": {"features": {"label": said}}})}
    pq.write_table(table.replace_schema_metadata(metadata), folder / f"{name}.parquet")
    return str(folder / f"{name}.parquet")


def ids(data: Dataset) -> list[object]:
    return [e.label for e in data.examples]


def said(*data: Dataset) -> str:
    return " | ".join(note.text for each in data for note in each.notes)


def warned(*data: Dataset) -> str:
    return " | ".join(note.text for each in data for note in each.notes if note.warning)


# ---- names


@pytest.mark.parametrize(
    ("labels", "written"),
    [
        ((" kitchen", " garden"), [" kitchen", "garden"]),
        (("kitchen ", "garden\u00a0"), ["kitchen", "garden"]),
        ((unicodedata.normalize("NFD", "küche"), "gärten"), ["küche", unicodedata.normalize("NFD", "gärten")]),
        (("a", " a"), ["a", "\u00a0"]),
    ],
)
def test_spaces_at_the_ends_and_unicode_forms_make_no_other_name(labels: tuple[str, ...], written: list[str]) -> None:
    if labels == ("a", " a"):  # here they do: two classes differ in nothing else
        assert match_labels([FileLabels("f", {"a": "f:2", " a": "f:3"})], labels)[0].ids == {"a": 0, " a": 1}
        return
    reading = match_labels([FileLabels("f", dict.fromkeys(written, "f:2"))], labels)[0]
    assert [reading.ids[label] for label in written] == [0, 1]
    assert reading.notes == ()


def test_case_is_ignored_and_said(tmp_path: Path) -> None:
    data = read_dataset(tsv(tmp_path, "a", ["KITCHEN", "Garden"]), task(*TOPICS))
    assert ids(data) == [0, 1]
    assert "ignoring case: KITCHEN = kitchen, Garden = garden" in said(data)


@pytest.mark.parametrize(
    ("labels", "values", "expected"),
    [
        (("False", "True"), [True, False], [1, 0]),
        (("true", "false"), [True, False], [0, 1]),  # a name before an id
        (("neg", "pos"), [True, False], [1, 0]),
        (("neg", "pos"), [1.0, 0.0], [1, 0]),
        (("neg", "pos"), ["1.0", "0.0"], [1, 0]),
        (("neg", "pos"), ["LABEL_1", "LABEL_0"], [1, 0]),
        (("LABEL_0", "LABEL_1"), ["LABEL_1", "LABEL_0"], [1, 0]),
        (("-1", "0", "1"), [-1, 0, 1], [0, 1, 2]),
        (("1", "2"), [1.0, 2.0], [0, 1]),
    ],
)
def test_values_that_are_no_strings(
    tmp_path: Path, labels: tuple[str, ...], values: list[object], expected: list[int]
) -> None:
    assert ids(read_dataset(jsonl(tmp_path, "a", [{"label": v} for v in values]), task(*labels))) == expected


# ---- class ids


def test_class_ids_are_said_to_be(tmp_path: Path) -> None:
    data = read_dataset(tsv(tmp_path, "a", [2, 0]), task(*TOPICS))
    assert ids(data) == [2, 0]
    assert "labels are read as class ids: 0 = kitchen, 2 = office" in said(data)
    unnamed = read_dataset(tsv(tmp_path, "a", [2, 0]), task("LABEL_0", "LABEL_1", "LABEL_2"))
    assert said(unnamed).endswith("labels are read as class ids")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, 3], r":3: label '3' is none of the teacher's; .*as class ids, 0 to 2 are allowed"),
        ([0, -1], r":3: label '-1' is none of the teacher's; .*rows without a label"),
        (
            ["kitchen", 1],
            r":3: label '1' is none of the teacher's; .*another a name \(kitchen\): write all labels in one way",
        ),
        ([1, "cellar"], r":3: label 'cellar' is none"),
        (["kitchen", "kitchen|garden"], r":3: label 'kitchen\|garden' is 2 labels in one: multi-label"),
        (["99999999999999999999"], r":2: label '99999999999999999999' is none"),
    ],
)
def test_what_fits_neither_way_is_refused(tmp_path: Path, values: list[object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_dataset(tsv(tmp_path, "a", values), task(*TOPICS))


def test_one_is_a_name_or_an_id_for_a_whole_file(tmp_path: Path) -> None:
    assert ids(read_dataset(tsv(tmp_path, "names", [1, 5, 3]), task(*STARS))) == [0, 4, 2]
    assert ids(read_dataset(tsv(tmp_path, "ids", [0, 1, 3]), task(*STARS))) == [0, 1, 3]
    with pytest.raises(InputError, match=r":2: label '0' .*one row has a class id, another a name \(5\)"):
        read_dataset(tsv(tmp_path, "both", [0, 5]), task(*STARS))


def test_what_fits_both_ways_is_read_as_names_with_a_warning(tmp_path: Path) -> None:
    data = read_dataset(tsv(tmp_path, "a", [1, 2, 4]), task(*STARS))
    assert ids(data) == [0, 1, 3]
    assert "are names of the teacher's, and class ids too; read as names, so '1' is class id 0, not 1" in warned(data)
    assert warned(read_dataset(tsv(tmp_path, "b", [1, 2, 5]), task(*STARS))) == ""
    assert warned(read_dataset(tsv(tmp_path, "c", [0, 1]), task("0", "1", "2"))) == ""


def test_what_a_data_frame_makes_of_whole_numbers_is_the_same_name(tmp_path: Path) -> None:
    assert ids(read_dataset(tsv(tmp_path, "a", ["1.0", "5.0", "3.0"]), task(*STARS))) == [0, 4, 2]
    assert ids(read_dataset(tsv(tmp_path, "b", ["4.0", "0.0"]), task(*STARS))) == [4, 0]  # no name is 0: class ids
    assert warned(read_dataset(tsv(tmp_path, "c", ["1.0", "5.0"]), task("5", "1.0"))) == ""


# ---- training and evaluation data together


def test_two_conventions_in_two_files_are_refused(tmp_path: Path) -> None:
    train, held_out = tsv(tmp_path, "train", [0, 1, 2, 3, 4]), tsv(tmp_path, "eval", [1, 2, 3, 4, 5])
    with pytest.raises(InputError, match=r"train\.tsv: .*only be class ids; .*eval\.tsv: .*only be names"):
        read_both(train, held_out, task(*STARS))


def test_the_file_that_can_be_read_one_way_only_decides(tmp_path: Path) -> None:
    held_out = tsv(tmp_path, "eval", [1, 2, 4])
    both = read_both(tsv(tmp_path, "train", [0, 1, 4]), held_out, task(*STARS))
    assert [ids(data) for data in both] == [[0, 1, 4], [1, 2, 4]]
    both = read_both(tsv(tmp_path, "train", [1, 3, 5]), held_out, task(*STARS))
    assert [ids(data) for data in both] == [[0, 2, 4], [0, 1, 3]]
    assert "class ids too" not in warned(*both)


def test_names_in_one_file_and_ids_in_the_other_are_read_each_its_way(tmp_path: Path) -> None:
    both = read_both(tsv(tmp_path, "train", [0, 2]), tsv(tmp_path, "eval", ["office", "garden"]), task(*TOPICS))
    assert [ids(data) for data in both] == [[0, 2], [2, 1]]


# ---- names of integer labels


def test_names_in_the_metadata_decide_over_the_order(tmp_path: Path) -> None:
    names = ["office", "kitchen", "garden"]
    data = read_dataset(parquet(tmp_path, "a", [0, 1, 2], names), task(*TOPICS))
    assert ids(data) == [2, 0, 1]
    assert "integer labels are named by its metadata: 0 = office" in said(data)
    same = read_dataset(parquet(tmp_path, "b", [0, 1], list(TOPICS)), task(*TOPICS))
    assert (ids(same), said(same)) == ([0, 1], "")


@pytest.mark.parametrize(
    "feature",
    [
        {"feature": {"names": ["office", "kitchen"], "_type": "ClassLabel"}, "_type": "Sequence"},
        {"feature": {"feature": {"names": ["office", "kitchen"], "_type": "ClassLabel"}}, "_type": "List"},
        [{"names": {"0": "office", "1": "kitchen"}, "_type": "ClassLabel"}],
    ],
)
def test_names_are_found_inside_lists_and_in_older_forms(tmp_path: Path, feature: object) -> None:
    assert ids(read_dataset(parquet(tmp_path, "a", [0, 1], [], feature), task(*TOPICS))) == [2, 0]


def test_names_that_the_teacher_lacks_are_refused(tmp_path: Path) -> None:
    source = parquet(tmp_path, "a", [1, 0], ["cellar", "kitchen"])
    with pytest.raises(InputError, match=r"row 2: label 'cellar' is none of the teacher's"):
        read_dataset(source, task(*TOPICS))
    assert ids(read_dataset(source, task("LABEL_0", "LABEL_1"))) == [1, 0]  # whose names nobody knows


@pytest.mark.parametrize("number", [-1, 3])
def test_a_number_without_a_name_is_refused(tmp_path: Path, number: int) -> None:
    with pytest.raises(
        InputError, match=rf"row 2: label '{number}' is no number that has a name; its metadata names 0 to 2"
    ):
        read_dataset(parquet(tmp_path, "a", [0, number], list(TOPICS)), task(*TOPICS))


@pytest.mark.parametrize(
    "metadata", [b"{", b"[]", b'{"info": {"features": 3}}', b'{"info": null}', b"\xff", b"[" * 99_999]
)
def test_metadata_that_says_nothing_is_no_harm(tmp_path: Path, metadata: bytes) -> None:
    table = pa.table({"text": ["a", "b"], "label": [0, 1]}).replace_schema_metadata({b"huggingface": metadata})
    pq.write_table(table, tmp_path / "a.parquet")
    assert ids(read_dataset(str(tmp_path / "a.parquet"), task(*TOPICS))) == [0, 1]


@pytest.mark.parametrize("column", ["label_text", "label_name", "labels_name", "Label_Text"])
def test_a_column_of_names_beside_integers_decides(tmp_path: Path, column: str) -> None:
    rows = [{"label": 2, column: "kitchen"}, {"label": 0, column: "garden"}, {"label": 2, column: "kitchen"}]
    if column == "labels_name":  # beside another column than this
        assert ids(read_dataset(jsonl(tmp_path, "a", rows), task(*TOPICS))) == [2, 0, 2]
        return
    data = read_dataset(jsonl(tmp_path, "a", rows), task(*TOPICS))
    assert ids(data) == [0, 1, 0]
    assert f"named by its column '{column}': 0 = garden, 2 = kitchen" in said(data)
    assert ids(read_dataset(jsonl(tmp_path, "a", rows), task(*TOPICS), Columns(label="label"))) == [2, 0, 2]


@pytest.mark.parametrize(("number", "name"), [("label", "label_text"), ("labels", "label_text"), ("labels", "label")])
@pytest.mark.parametrize("values", [(1.0, 0.0), ("1.0", "0"), (True, False)])
def test_numbers_of_every_form_have_the_names_beside_them(
    tmp_path: Path, number: str, name: str, values: tuple[object, object]
) -> None:
    rows = [{number: value, name: text} for value, text in zip(values, ("kitchen", "garden"), strict=True)]
    assert ids(read_dataset(jsonl(tmp_path, "a", rows), task("kitchen", "garden"))) == [0, 1]


@pytest.mark.parametrize("second", [{"label": 0, "label_text": "garden"}, {"label": 1, "label_text": "kitchen"}])
def test_numbers_and_names_that_contradict_each_other_are_refused(tmp_path: Path, second: dict[str, object]) -> None:
    source = jsonl(tmp_path, "a", [{"label": 0, "label_text": "kitchen"}, second])
    with pytest.raises(InputError, match=r"a\.jsonl:2: label '.' is '\w+' in column 'label_text', but an earlier row"):
        read_dataset(source, task(*TOPICS))


def test_bare_integers_have_the_names_that_the_other_file_gives(tmp_path: Path) -> None:
    train = parquet(tmp_path, "train", [0, 1, 2], ["office", "kitchen", "garden"])
    both = read_both(train, tsv(tmp_path, "eval", [1, 2]), task(*TOPICS))
    assert [ids(data) for data in both] == [[2, 0, 1], [0, 1]]
    stars = parquet(tmp_path, "stars", [0, 4], list(STARS))
    both = read_both(stars, tsv(tmp_path, "eval", [1, 5]), task(*STARS))  # these are names already
    assert [ids(data) for data in both] == [[0, 4], [0, 4]]


def test_names_given_by_the_user(tmp_path: Path) -> None:
    columns = Columns(names=("office", "kitchen", "garden"))
    both = read_both(tsv(tmp_path, "train", [0, 1, 2]), tsv(tmp_path, "eval", [2, 1]), task(*TOPICS), columns)
    assert [ids(data) for data in both] == [[2, 0, 1], [1, 0]]
    assert "named by --labels" in said(*both)
    tags = Task("token-classification", ("O", "B-PER", "I-PER"))
    tagged = jsonl(tmp_path, "a", [{"tokens": ["anna", "smith", "left"], "ner_tags": [1, 2, 0]}])
    data = read_dataset(tagged, tags, Columns(names=("O", "S-PER", "E-PER")))
    assert data.examples[0].label == (1, 1, 0)


def test_names_that_name_nothing_are_said(tmp_path: Path) -> None:
    named, numbered = tsv(tmp_path, "a", ["kitchen", "garden"]), tsv(tmp_path, "b", [0, 1])
    with pytest.raises(InputError, match="--labels names 0 to 1: x, y; if labels are names, leave it out"):
        read_dataset(named, task(*TOPICS), Columns(names=("x", "y")))
    assert ids(read_dataset(named, task(*TOPICS), Columns(names=TOPICS))) == [0, 1]
    unnamed = read_dataset(numbered, task("LABEL_0", "LABEL_1"), Columns(names=TOPICS))
    assert "numbers are its class ids, and --labels is not used" in warned(unnamed)


# ---- the names of a new teacher


def test_a_new_teacher_carries_the_datas_names(tmp_path: Path) -> None:
    assert read_labels(parquet(tmp_path, "a", [1, 0], list(TOPICS))) == TOPICS
    assert read_labels(tsv(tmp_path, "a", [2, 0, 1]), Columns(names=TOPICS)) == TOPICS
    rows = [{"label": 1, "label_text": "a"}, {"label": 0, "label_text": "z"}]
    assert read_labels(jsonl(tmp_path, "b", rows)) == ("z", "a")
    assert read_labels(jsonl(tmp_path, "c", [{"label": 2.0}, {"label": 10}, {"label": 2}])) == ("2", "10")
    assert read_labels(tsv(tmp_path, "d", ["b ", "a", "b"])) == ("a", "b")
    tagged = jsonl(tmp_path, "e", [{"tokens": ["a", "b"], "tags": ["S-x", "U-y"]}])
    assert read_labels(tagged) == ("O", "B-x", "I-x", "B-y", "I-y")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["a", "b", "A"], r":4: label 'A' differs from 'a' in case only, so that they would be two classes"),
        ([0, -1, 1], r":3: label '-1' is a negative number, which is no class id"),
        (["a", "b", "nan"], r":4: label 'nan' is what data frames write for an empty cell, and would become a class"),
        (["NaN", "b"], r":2: label 'NaN' is what data frames write"),
        (["a", "null"], r":3: label 'null' is what data frames write"),
        (["a", "#N/A"], r":3: label '#N/A' is an error of a spreadsheet"),
        (["a", "a\u200b"], r":3: label 'a\\u200b' differs from 'a' in case, spaces or invisible characters only"),
        (["a b", "a\u00a0b"], r":3: label 'a\\xa0b' differs from 'a b' in case, spaces or invisible characters only"),
        (["a b", "a  b"], r":3: label 'a  b' differs from 'a b' in case, spaces or invisible characters only"),
        (["01", "1"], r":3: label '1' differs from '01' in zeros before it only"),
        (["{'a', 'b'}", "{'a'}"], r":2: label \"{'a', 'b'}\" is a list or an object written as text"),
        (["('a',)", "b"], r":2: label \"\('a',\)\" is a list or an object written as text"),
        (['{"label": "a"}', "b"], r":2: label '{\"label\": \"a\"}' is a list or an object written as text"),
    ],
)
def test_labels_that_make_no_class_of_a_new_teacher(tmp_path: Path, values: list[object], message: str) -> None:
    source = tsv(tmp_path, "a", values)
    with pytest.raises(InputError, match=message):
        read_labels(source)


def test_zeros_before_a_number_are_a_part_of_the_name(tmp_path: Path) -> None:
    """As those of codes are; without any, numbers of one file are the same with and without a point."""
    assert read_labels(tsv(tmp_path, "a", ["007", "010", "999"])) == ("007", "010", "999")
    assert read_labels(tsv(tmp_path, "b", ["0", "10", "2.0"])) == ("0", "2", "10")


def test_an_empty_cell_of_a_data_frame_is_told_as_one(tmp_path: Path) -> None:
    """Also where a teacher is there, whose labels lack it; where it has it, it is a label like any other."""
    source = tsv(tmp_path, "a", ["world", "nan"])
    with pytest.raises(InputError, match=r":3: label 'nan' is none of the teacher's.*an empty cell, or a text"):
        read_dataset(source, Task("text-classification", ("world", "sport")))
    assert len(read_dataset(source, Task("text-classification", ("world", "nan")))) == 2
    tagged = jsonl(tmp_path, "b", [{"tokens": ["a", "b"], "tags": ["O", "nan"]}])
    with pytest.raises(InputError, match=r":1: label 'nan' is what data frames write"):
        read_labels(tagged)
    assert read_labels(tsv(tmp_path, "c", ["None", "toxic"])) == ("None", "toxic")  # a class that people have


def test_types_that_differ_in_case_make_no_teacher(tmp_path: Path) -> None:
    source = jsonl(tmp_path, "a", [{"tokens": ["a", "b"], "tags": ["B-x", "B-X"]}])
    with pytest.raises(InputError, match="label 'x' differs from 'X' in case only"):
        read_labels(source)
    source = jsonl(tmp_path, "b", [{"tokens": ["a", "b"], "tags": [0, -100]}])
    with pytest.raises(InputError, match="tags are integers without names"):
        read_labels(source)


def test_integer_tags_without_names_make_no_teacher(tmp_path: Path) -> None:
    source = jsonl(tmp_path, "a", [{"tokens": ["a", "b"], "tags": [0, 1]}])
    with pytest.raises(InputError, match=r"tags are integers without names \(0, 1\); name them .* --labels"):
        read_labels(source)
    assert read_labels(source, Columns(names=("O", "B-x"))) == ("O", "B-x", "I-x")


def test_joined_labels_are_sets(tmp_path: Path) -> None:
    assert read_labels(tsv(tmp_path, "a", ["a", "b", "a,b"])) == ("a", "b")
    assert read_labels(tsv(tmp_path, "b", ["x, y", "z"])) == ("x, y", "z")


# ---- properties

NAMES = st.lists(st.text(min_size=1, max_size=6).filter(str.strip), min_size=2, max_size=8, unique=True)


@given(NAMES, st.data())
def test_exact_names_always_mean_themselves(names: list[str], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    reading = match_labels([FileLabels("f", dict.fromkeys(chosen, "f:1"))], names)[0]
    assert {label: names[i] for label, i in reading.ids.items()} == {label: label for label in chosen}


@given(
    NAMES, st.lists(st.one_of(st.text(max_size=6), st.integers(-2, 9).map(str)), min_size=1, max_size=6, unique=True)
)
def test_no_two_conventions_in_a_file(names: list[str], written: list[str]) -> None:
    file = FileLabels("f", dict.fromkeys(written, "f:1"))
    with suppress(InputError):
        check_convention(match_labels([file], names)[0].ids, names)


def check_convention(ids: Mapping[str, int], names: list[str]) -> None:
    by_name = all(
        unicodedata.normalize("NFC", label.strip()).casefold()
        == unicodedata.normalize("NFC", names[i].strip()).casefold()
        for label, i in ids.items()
    )
    by_id = all(
        label.strip().lower() in (str(i), f"label_{i}", ("false", "true", "")[min(i, 2)]) for label, i in ids.items()
    )
    assert by_name or by_id
