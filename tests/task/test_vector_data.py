"""Texts to train on, and pairs, searches and texts to measure on: what is read, what is said, what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edgepack.errors import InputError
from edgepack.task.checks import check_evaluation
from edgepack.task.examples import Columns, read_evaluation
from edgepack.task.identity import examples_sha256
from edgepack.task.reading.columns import Recorded
from edgepack.task.similarity import Prompts
from edgepack.task.task import Task
from edgepack.task.vector_data import has_labels, read_judged, read_training_texts, read_vector_data

TASK = Task("feature-extraction", (), vector_size=4)
NAMED = Columns()


def write(path: Path, text: str) -> str:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)
    return str(path)


def search_folder(folder: Path, judgments: str = "query_id\tdoc_id\tscore\nq1\td2\t3\nq1\td1\t1\nq3\td9\t1\n") -> str:
    documents = [{"id": "d1", "title": "Wings", "text": "of birds"}, {"id": "d2", "title": "air", "text": "Air flow"}]
    write(folder / "corpus.jsonl", "".join(json.dumps(row) + "\n" for row in documents))
    write(folder / "queries.jsonl", '{"id": "q1", "text": "what flows"}\n{"id": "q2", "text": "who"}\n')
    write(folder / "qrels.tsv", judgments)
    return str(folder)


def texts(data: object) -> list[str]:
    return [example.text for example in data.examples]  # type: ignore[attr-defined]


def test_any_text_trains(tmp_path: Path) -> None:
    plain = write(tmp_path / "a.txt", "one, two\n\n three \none, two\n")
    assert texts(read_training_texts(plain, NAMED)) == ["one, two", " three "]
    pairs = write(tmp_path / "a.tsv", "score\tsentence1\tsentence2\n1\tx\ty\n2\tx\tz\n")
    found = read_training_texts(pairs, NAMED)
    assert texts(found) == ["x", "y", "z"]
    assert "1 of 4 texts are blank or repeat" in found.notes[0].text
    named = write(tmp_path / "b.tsv", "number\tline\n1\tx\n")
    assert texts(read_training_texts(named, Columns(text="line"))) == ["x"]
    assert texts(read_training_texts(search_folder(tmp_path / "s"), NAMED)) == ["Wings of birds", "Air flow"]


def test_whether_data_are_of_another_task(tmp_path: Path) -> None:
    assert has_labels(write(tmp_path / "a.tsv", "text\tlabel\nx\ty\n"), NAMED)
    assert not has_labels(write(tmp_path / "b.tsv", "score\tsentence1\tsentence2\n1\tx\ty\n"), NAMED)
    assert not has_labels(write(tmp_path / "c.txt", "x\n"), NAMED)


def test_prompts_stand_before_queries_and_before_all_else(tmp_path: Path) -> None:
    task = replace(TASK, prompts=Prompts("q: ", "t: "))
    train = write(tmp_path / "a.txt", "one\ntwo\nt: three\n")
    folder = search_folder(tmp_path / "s")
    found, training, data = read_vector_data(train, folder, task, NAMED)
    assert found.judged == "queries"
    assert texts(training) == ["t: one", "q: two", "t: three"]
    assert texts(data) == ["q: what flows", "t: Wings of birds", "t: Air flow"]
    assert texts(read_evaluation(folder, task)[1]) == texts(data)
    pairs = write(tmp_path / "b.tsv", "score\tsentence1\tsentence2\n1.5\tx\tone\n2\tx\tz\n0\tv\tw\n")
    _, training, data = read_vector_data(train, pairs, task, NAMED)
    assert texts(data)[:2] == ["t: x", "t: one"]
    assert "1 of 6 evaluation texts also stand" in training.notes[-1].text
    many = write(tmp_path / "c.txt", "\n".join(f"text {i}" for i in range(300)))
    assert {text[:3] for text in texts(read_vector_data(many, None, task, NAMED)[2])} == {"t: "}


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (Columns(names=("a", "b")), "--labels names classes; a model of feature-extraction has none"),
        (Columns(outside="oos"), "--out-of-scope goes with one label for each text; a model of feature-extraction has"),
        (Columns(label="how"), r"b\.csv: --label-column 'how' is of scored pairs, and no pairs are found in it: name"),
    ],
)
def test_what_vectors_have_no_use_for_is_refused(tmp_path: Path, columns: Columns, said: str) -> None:
    source = write(tmp_path / "b.csv", "text,other,how\nx,y,0.5\nx,z,0.6\n")
    with pytest.raises(InputError, match=said):
        read_evaluation(source, TASK, columns)
    with pytest.raises(InputError, match="--label-column 'how' is of scored pairs"):
        read_judged(search_folder(tmp_path / "search"), Columns(label="how"))
    assert read_judged(source, Columns(label=Recorded("how")))[0] == "teacher"


def test_pairs_without_scores_are_said_to_be_single_texts(tmp_path: Path) -> None:
    source = write(tmp_path / "b.csv", "question1,question2,is_duplicate\nx,y,1\nx,z,0\n")
    judged, data = read_judged(source, Columns())
    assert (judged, texts(data)) == ("teacher", ["x", "y", "z"])
    assert "has pairs and no column of scores is found (question1, question2, is_duplicate)" in data.notes[-1].text
    assert read_judged(source, Columns(label="is_duplicate"))[0] == "pairs"


def test_pairs_with_scores(tmp_path: Path) -> None:
    source = write(tmp_path / "a.tsv", "score\tsentence1\tsentence2\n1.5\tx\ty\n2\tx\tz\n0\tv\tw\n")
    judged, data = read_judged(source, NAMED)
    assert (judged, texts(data)) == ("pairs", ["x", "y", "x", "z", "v", "w"])
    assert [example.label for example in data.examples] == [1.5, 1.5, 2, 2, 0, 0]
    other = write(tmp_path / "b.csv", "one,other,how\nx,y,0.5\n")
    assert read_judged(other, Columns(text="one", pair="other", label="how"))[0] == "pairs"


def test_a_search(tmp_path: Path) -> None:
    judged, data = read_judged(search_folder(tmp_path / "s"), NAMED)
    assert (judged, texts(data)) == ("queries", ["what flows", "Wings of birds", "Air flow"])
    assert data.examples[0].label == (2, 3, 1, 1)
    said = " ".join(note.text for note in data.notes)
    assert "1 judgments are of queries or documents that are not there" in said
    assert "1 queries have no relevant document" in said


def test_cranfields_codes_are_turned_round(tmp_path: Path) -> None:
    judgments = "query_id\tdoc_id\trelevance_code\nq1\td2\t1\nq1\td1\t4\n"
    data = read_judged(search_folder(tmp_path / "s", judgments), NAMED)[1]
    assert data.examples[0].label == (2, 4, 1, 1)
    assert "relevance_code 1 is read as the best, worth 4" in data.notes[0].text


@pytest.mark.needs_shared
def test_the_shared_search_and_pairs(shared: Path) -> None:
    data = shared / "data"
    judged, found = read_judged(str(data / "retrieval-cranfield"), NAMED)
    assert (judged, len(found)) == ("queries", 225 + 1400)
    judged, found = read_judged(str(data / "stsb" / "dev.tsv"), NAMED)
    assert (judged, len(found)) == ("pairs", 2 * 1500)


def test_without_evaluation_data_some_texts_are_held_out(tmp_path: Path) -> None:
    source = write(tmp_path / "a.txt", "".join(f"text {i}\n" for i in range(300)))
    task, train, held_out = read_vector_data(source, None, TASK, NAMED)
    assert (task.judged, len(train), len(held_out)) == ("teacher", 270, 30)
    assert not set(texts(train)) & set(texts(held_out))
    assert read_vector_data(source, None, TASK, NAMED)[2].sha256 == held_out.sha256
    few = write(tmp_path / "b.txt", "a\nb\n")
    with pytest.raises(InputError, match=r"2 texts, of which too few .*at least 200 texts, or data .* --eval"):
        read_vector_data(few, None, TASK, NAMED)


def test_shared_texts_are_said(tmp_path: Path) -> None:
    train = write(tmp_path / "a.txt", "x\nz\n")
    held_out = write(tmp_path / "b.txt", "x\ny\n")
    assert "1 of 2 evaluation texts" in read_vector_data(train, held_out, TASK, NAMED)[1].notes[0].text
    with pytest.raises(InputError, match="same data"):
        read_vector_data(train, train, TASK, NAMED)


def test_the_order_is_a_part_of_the_data(tmp_path: Path) -> None:
    task = Task("feature-extraction", (), vector_size=4, judged="pairs")
    header = "score\tsentence1\tsentence2\n"
    one, other = (
        read_judged(write(tmp_path / f"{n}.tsv", header + rows), NAMED)[1]
        for n, rows in (("a", "1\tx\ty\n2\tv\tw\n"), ("b", "1\tx\tw\n2\tv\ty\n"))
    )
    assert examples_sha256(one, task) != examples_sha256(other, task)


REFUSED = {
    "a score that is no number": ("1\tx\ty\nhigh\tx\tz\n", "2.tsv:3: column 'score' holds 'high'; a number is needed"),
    "a score that is infinite": ("inf\tx\ty\n", "a number is needed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_rows_that_are_refused(tmp_path: Path, name: str) -> None:
    rows, message = REFUSED[name]
    source = write(tmp_path / "2.tsv", "score\tsentence1\tsentence2\n" + rows)
    with pytest.raises(InputError, match=message):
        read_judged(source, NAMED)


def test_data_that_tell_nothing(tmp_path: Path) -> None:
    task = Task("feature-extraction", (), vector_size=4, judged="pairs")
    source = write(tmp_path / "a.tsv", "score\tsentence1\tsentence2\n" + "1\tx\ty\n" * 5)
    with pytest.raises(InputError, match="5 pairs with 1 different scores"):
        check_evaluation(read_judged(source, NAMED)[1], task)
    folder = search_folder(tmp_path / "s", "query_id\tdoc_id\tscore\nq7\td2\t3\n")
    with pytest.raises(InputError, match="no judgment names a query and a document that are both there"):
        read_judged(folder, NAMED)
    (tmp_path / "s" / "qrels.tsv").unlink()
    with pytest.raises(InputError, match=r"no file qrels\.jsonl"):
        read_judged(folder, NAMED)
