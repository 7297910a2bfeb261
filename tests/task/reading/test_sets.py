"""Label sets in every form that public data have; what is understood is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edgepack.errors import InputError
from edgepack.task.examples import Columns, infer_problem, read_both, read_dataset, read_labels
from edgepack.task.task import Task
from edgepack.task.unlabelled import read_to_answer

LABELS = ("joy", "fear", "love")
SETS = "multi_label_classification"
TASK = Task("text-classification", LABELS, problem=SETS)


def jsonl(folder: Path, *labels: object) -> str:
    path = folder / "a.jsonl"
    path.write_text("".join(json.dumps({"text": f"t{i}", "labels": each}) + "\n" for i, each in enumerate(labels)))
    return str(path)


def written(folder: Path, text: str, name: str = "a.tsv") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def sets(source: str, columns: Columns | None = None) -> list[object]:
    return [example.label for example in read_dataset(source, TASK, columns or Columns()).examples]


def test_lists_in_every_form(tmp_path: Path) -> None:
    source = jsonl(tmp_path, ["joy", "love"], [], ["love", "joy", "love"], "fear")
    assert sets(source) == [(0, 2), (), (0, 2), (1,)]
    assert infer_problem(source) == SETS
    assert read_labels(source) == ("fear", "joy", "love")
    (note,) = [note.text for note in read_dataset(source, TASK).notes]
    assert "from column 'labels', lists: 2 of 4 texts have several labels, 1 have none" in note
    printed = written(tmp_path, "text\tlabels\na\t['joy', 'love']\nb\t[]\nc\t[\"fear\"]\n")
    assert sets(printed) == [(0, 2), (), (1,)]
    assert sets(written(tmp_path, "text\tlabels\na\t[0, 2]\nb\t[1]\n")) == [(0, 2), (1,)]
    table = pa.table({"text": ["a", "b"], "labels": [["joy", "fear"], []]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert sets(str(tmp_path / "a.parquet")) == [(0, 1), ()]


def test_lists_as_numpy_prints_them_are_no_single_label(tmp_path: Path) -> None:
    assert sets(written(tmp_path, "text\tlabels\na\t['joy' 'love']\nb\t[]\nc\t['fear']\n")) == [(0, 2), (), (1,)]
    for cells in (("[0 2]", "[1]"), ("[0. 2.]", "[1.]")):
        source = written(tmp_path, "text\tlabels\n" + "".join(f"a\t{cell}\n" for cell in cells))
        assert sets(source) == [(0, 2), (1,)]
        assert infer_problem(source) == SETS
        assert read_labels(source) == ("0", "1", "2")


def test_the_column_of_sets_is_read_where_one_of_single_labels_stands_beside_it(tmp_path: Path) -> None:
    source = written(tmp_path, "text\tlabel\tlabels\na\tjoy\t['joy', 'love']\nb\tfear\t['fear']\n")
    assert sets(source) == [(0, 2), (1,)]
    assert sets(source, Columns(label="label")) == [(0,), (1,)]
    single = replace(TASK, problem="single_label_classification")
    assert [example.label for example in read_dataset(source, single).examples] == [0, 1]


def test_vectors_of_flags(tmp_path: Path) -> None:
    assert sets(jsonl(tmp_path, [0, 1, 1], [0, 0, 0], [1, 0, 0])) == [(1, 2), (), (0,)]
    assert sets(jsonl(tmp_path, [0.0, 1.0, 0.0], [1.0, 0.0, 1.0])) == [(1,), (0, 2)]
    assert sets(jsonl(tmp_path, [0, 1], [2, 1])) == [(0, 1), (1, 2)]  # class ids
    for cells in (("[0, 1, 1]", "[1, 0, 0]"), ("[0 1 1]", "[1 0 0]"), ("[0. 1. 1.]", "[True, False, False]")):
        source = written(tmp_path, "text\tlabels\n" + "".join(f"a\t{cell}\n" for cell in cells))
        assert sets(source) == [(1, 2), (0,)]


def test_vectors_of_another_length_are_refused_with_both_numbers(tmp_path: Path) -> None:
    source = jsonl(tmp_path, [0, 1, 1, 0], [0, 0, 0, 0])
    with pytest.raises(InputError, match="its vectors of 0 and 1 have 4 numbers, the teacher has 3 labels"):
        sets(source)
    assert read_labels(source) == ("0", "1", "2", "3")  # of a new teacher, one that no row has too
    named = Columns(names=("joy", "fear"))
    with pytest.raises(InputError, match="have 4 numbers, --labels gives 2 labels"):
        sets(source, named)
    with pytest.raises(InputError, match=r"a\.jsonl:2: the vector has 2 numbers, the one in the first row 3"):
        sets(jsonl(tmp_path, [0, 1, 1], [0, 0]))


@pytest.mark.parametrize("cells", [(["joy"], ["fear"]), ("['joy']", '["fear"]'), ([0], [1])])
def test_lists_of_one_label_are_labels(tmp_path: Path, cells: tuple[object, ...]) -> None:
    """As annotation tools export them, for a teacher that gives a text one label."""
    source, task = jsonl(tmp_path, *cells), Task("text-classification", LABELS)
    data = read_dataset(source, task)
    assert [example.label for example in data.examples] == [0, 1]
    assert f"{source}: column 'labels' holds a list of one label in each row, read as that label" in [
        note.text for note in data.notes
    ]
    assert infer_problem(source) == "single_label_classification"
    assert len(read_labels(source)) == 2
    assert sets(source) == [(0,), (1,)]
    for other in ([], ["joy", "fear"]):
        with pytest.raises(InputError, match=r"a\.jsonl:[12]: label is a list"):
            read_dataset(jsonl(tmp_path, cells[0], other), task)


@pytest.mark.parametrize("separator", [",", ";", "|", ", "])
def test_joined_labels(tmp_path: Path, separator: str) -> None:
    source = written(tmp_path, f"text\tlabel\na\tjoy{separator}love\nb\tfear\nc\t\nd\tlove\ne\tjoy\n")
    assert sets(source) == [(0, 2), (1,), (), (2,), (0,)]
    assert infer_problem(source) == SETS
    assert read_labels(source) == ("fear", "joy", "love")
    assert f"joined by {separator.strip()!r}" in read_dataset(source, TASK).notes[0].text


def test_a_name_may_hold_another_separator(tmp_path: Path) -> None:
    task = Task("text-classification", ("health, sport", "work"), problem=SETS)
    source = written(tmp_path, "text\tlabel\na\thealth, sport|work\nb\twork\nc\thealth, sport\n")
    assert [example.label for example in read_dataset(source, task).examples] == [(0, 1), (1,), (0,)]


def test_sets_joined_in_two_ways_are_refused(tmp_path: Path) -> None:
    """A label at the end of which a separator stands is the same label."""
    rows = [{"text": f"t{i}", "labels": cell} for i, cell in enumerate(("joy", "fear;", "joy;fear;", "joy, fear"))]
    source = tmp_path / "a.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows[:3]))
    assert read_labels(str(source)) == ("fear", "joy")
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=r":4: label 'joy, fear' is 2 labels in one, .*part labels by one separator"):
        read_labels(str(source))


def test_one_label_each_is_no_set(tmp_path: Path) -> None:
    for text in ("text\tlabel\na\tx, y\nb\tz\n", "text\tlabel\na\tjoy\nb\tfear\n", "text\tlabel\na\t1\nb\t0\n"):
        assert infer_problem(written(tmp_path, text)) == "single_label_classification"


def test_a_column_for_each_label(tmp_path: Path) -> None:
    source = written(tmp_path, "text,love,joy,fear\na,1,0,0\nb,0,0,0\nc,0,1,1\n", "a.csv")
    assert sets(source) == [(2,), (), (0, 1)]
    assert infer_problem(source) == SETS
    assert read_labels(source) == ("love", "joy", "fear")
    assert "a column of 0 and 1 for each label (love, joy, fear)" in read_dataset(source, TASK).notes[0].text
    _, data, labelled = read_to_answer(source, TASK, Columns())
    assert labelled
    assert [example.label for example in data.examples] == [(2,), (), (0, 1)]
    bad = written(tmp_path, "text,love,joy\n" + "a,1,0\n" * 60 + "b,2,0\n", "b.csv")
    with pytest.raises(InputError, match=r"b\.csv:62: column 'love' holds '2'; 0 or 1 is needed"):
        sets(bad)


def test_columns_with_one_label_in_each_row_are_labels(tmp_path: Path) -> None:
    source = written(tmp_path, "text,love,joy,fear\na,1,0,0\nb,0,1,0\nc,0,0,1\nd,false,true,false\n", "a.csv")
    single = replace(TASK, problem="single_label_classification")
    data = read_dataset(source, single)
    assert [single.labels[example.label] for example in data.examples] == ["love", "joy", "fear", "joy"]
    assert "one 1 in each row, read as that label" in data.notes[0].text
    assert infer_problem(source) == "single_label_classification"
    assert read_labels(source) == ("love", "joy", "fear")
    assert sets(source) == [(single.labels.index(name),) for name in ("love", "joy", "fear", "joy")]
    none = written(tmp_path, "text,love,joy\na,1,0\nb,0,0\n", "b.csv")
    assert infer_problem(none) == SETS
    with pytest.raises(InputError, match=r"b\.csv: .* not one 1 in each row: multi-label data"):
        read_dataset(none, single)


def test_vectors_where_the_teacher_gives_one_label_are_refused(tmp_path: Path) -> None:
    """Whoever wrote a number for each label may have meant several of them, also where each row has one 1."""
    with pytest.raises(InputError, match=r"label is a list, \[0, 1, 0\]: multi-label"):
        read_dataset(jsonl(tmp_path, [0, 1, 0], [1, 0, 0]), replace(TASK, problem="single_label_classification"))


def test_columns_that_the_user_lists(tmp_path: Path) -> None:
    source = written(tmp_path, "text,love,joy,clicked\na,1,0,1\nb,0,1,0\n", "a.csv")
    assert sets(source, Columns(label="love,joy")) == [(2,), (0,)]
    with pytest.raises(InputError, match="no column 'hate'"):
        sets(source, Columns(label="love,hate"))
    with pytest.raises(InputError, match="label 'clicked' is none of the teacher's"):
        sets(source)


def test_texts_without_labels_are_answered(tmp_path: Path) -> None:
    _, data, labelled = read_to_answer(written(tmp_path, "text\na\nb\n"), TASK, Columns())
    assert not labelled
    assert [example.label for example in data.examples] == [(), ()]


def test_evaluation_with_one_set_is_refused(tmp_path: Path) -> None:
    train = jsonl(tmp_path, ["joy"], ["fear"])
    evaluation = written(tmp_path, "text\tlabels\na\tjoy\nb\tjoy\n")
    with pytest.raises(InputError, match="the same set of labels"):
        read_both(train, evaluation, TASK)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["joy", "hate"], "label 'hate' is none of the teacher's"),
        ([["joy"]], "label is a list"),
        ({"joy": 1}, "label is {'joy': 1}"),
        ("['joy', 'fear", "label .* is none of the teacher's"),
        ("['joy' ... 'fear']", "the list of labels .* was cut short where it was printed"),
        ([0.9, 0.1, 0.0], "label is .*, numbers as probabilities are"),
        (None, "no value in column 'labels'"),
    ],
)
def test_what_is_no_set_is_refused(tmp_path: Path, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sets(jsonl(tmp_path, ["joy", "fear"], value))


def test_one_list_among_plain_labels_is_no_set(tmp_path: Path) -> None:
    rows = [{"text": f"t{i}", "label": "light"} for i in range(5)]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in [*rows, {"text": "a", "label": ["light"]}]))
    assert infer_problem(str(path)) == "single_label_classification"
    path.write_text("\n".join(json.dumps({**row, "label": [row["label"], "dark"]}) for row in rows))
    assert infer_problem(str(path)) == SETS
