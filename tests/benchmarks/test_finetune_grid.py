"""The benchmark of fine-tuning: its data, what it compares, what it keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import finetune_data, finetune_grid
from benchmarks.finetune_data import begin_tags, files_of
from benchmarks.finetune_grid import Run, canonical, compare, main, read_results
from benchmarks.store import RESULTS
from edgepack.errors import InputError


def cell(epochs: int, rate: float) -> str:
    return canonical({"epochs": epochs, "learning_rate": rate})


def test_an_entity_begins_with_b() -> None:
    assert begin_tags(["I-X", "I-X", "O", "I-X", "I-Y", "B-Y", "I-Y", "O"]) == [
        *("B-X", "I-X", "O", "B-X"),
        *("B-Y", "B-Y", "I-Y", "O"),
    ]


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """banking77 with 100 training rows, ten of them twice, and wikigold with two sentences, in the shared layout."""
    data = tmp_path / "shared" / "data"
    for folder in ("banking77", "ner-wikigold-iob1"):
        (data / folder).mkdir(parents=True)
    rows = [f"{i % 2}\ttext {i}" for i in range(90)]
    (data / "banking77" / "train.tsv").write_text("\n".join(["label\ttext", *rows, *rows[:10]]) + "\n")
    (data / "ner-wikigold-iob1" / "train.conll").write_text("A I-PER\nB O\n\nC O\n")
    (data / "ner-wikigold-iob1" / "dev.conll").write_text("D I-PER\n")
    return tmp_path / "shared"


def test_held_out_rows_are_not_trained_on_and_dev_is_not_read(shared: Path, tmp_path: Path) -> None:
    files = files_of("banking77", shared, tmp_path / "work", 50, "held-out")  # dev.tsv does not exist
    train, judged = (path.read_text().splitlines() for path in (files.train, files.evaluation))
    assert train[0] == judged[0] == "label\ttext"
    assert len(train) == 51
    assert not set(train[1:]) & set(judged[1:])
    assert len(set(judged[1:])) == 18


def test_columns_become_json_lines(shared: Path, tmp_path: Path) -> None:
    files = files_of("ner-wikigold", shared, tmp_path / "work", 50, "dev")
    assert [json.loads(line) for line in files.train.read_text().splitlines()] == [
        {"tokens": ["A", "B"], "tags": ["B-PER", "O"]},
        {"tokens": ["C"], "tags": ["O"]},
    ]


def test_other_columns_and_starts_of_documents_are_left_out(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data" / "ner-sec-iob1"
    folder.mkdir()
    (folder / "train.conll").write_text("-DOCSTART- -X- O O\n\nA NNP - I-PER\nB NN - O\n")
    (folder / "test.conll").write_text("C NNP - I-PER\n")
    files = files_of("ner-sec", shared, tmp_path / "work", 50, "dev")
    assert json.loads(files.train.read_text()) == {"tokens": ["A", "B"], "tags": ["B-PER", "O"]}


def test_the_default_against_the_best_cell() -> None:
    scores = {
        canonical({}): {0: 0.90, 1: 0.92},
        cell(3, 1e-4): {0: 0.91, 1: 0.93},
        cell(6, 1e-4): {0: 0.95, 1: 0.80},
        cell(9, 1e-4): {0: 0.99},  # seed 1 is missing: not compared
        canonical({"patience": 5}): {0: 1.0, 1: 1.0},  # no cell
    }
    found = compare(scores)
    assert found is not None
    assert (found["cell"], found["cells"], found["seeds"]) == ({"epochs": 3, "learning_rate": 1e-4}, 2, 2)
    assert found["difference"] == pytest.approx(-0.01)
    assert found["standard_error"] == pytest.approx(0)
    assert found["crossed"] == pytest.approx((0.91 + 0.80) / 2)  # seed 1 chooses 3 epochs for 0; seed 0 chooses 6 for 1
    assert not found["within"]
    scores[canonical({})] = {0: 0.91, 1: 0.921}
    within = compare(scores)
    assert within is not None
    assert within["within"]
    assert compare({canonical({}): {0: 1.0}}) is None


def test_the_grid_runs_resumes_and_stops(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained: list[Run] = []

    def train(run: Run, *others: Any) -> dict[str, Any]:
        trained.append(run)
        metric = 0.5 if run.options == "{}" else json.loads(run.options)["epochs"] / 10
        training = {"steps": 8, "kept_step": 4, "learning_rate": 0.1}
        return {
            **run.__dict__,
            "metric": metric,
            "training": training,
            "history": [{"step": 8, "epoch": 2.0}],
            "seconds": 1,
        }

    class Pool:
        def __init__(self, *settings: Any) -> None:
            pass

        def __enter__(self) -> Pool:
            return self

        def __exit__(self, *error: Any) -> None:
            pass

        def imap_unordered(self, function: Any, jobs: list[Any]) -> Any:
            return Results(map(function, jobs))

    class Results:
        def __init__(self, found: Any) -> None:
            self.found = found

        def next(self, timeout: float) -> Any:
            return next(self.found)

    class Context:
        def Pool(self, *settings: Any) -> Pool:
            return Pool()

    monkeypatch.setattr(finetune_grid, "train_one", train)
    monkeypatch.setattr(finetune_grid.multiprocessing, "get_context", lambda kind: Context())
    results = tmp_path / "results.jsonl"
    words = ["--shared", str(shared), "--work", str(tmp_path / "work"), "--results", str(results)]
    words += ["--sets", "ner-wikigold", "--seeds", "2", "--epochs", "3", "6", "--rates", "1e-4"]
    main(words)
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert len(trained) == 6
    assert summary["sets"]["ner-wikigold"]["difference"] == pytest.approx(-0.1)
    assert not summary["all_within"]
    text = results.read_text()
    results.write_text(text[: text.rindex('{"name') + 30])  # a kill cut the last line short
    assert len(read_results(results)) == 5
    main(words)
    assert len(trained) == 7
    assert len(read_results(results)) == 6
    main([*words, "--table-only", "--sets", "ner-wikigold"])
    assert len(trained) == 7
    with pytest.raises(InputError, match="--also"):
        main([*words, "--also", "{"])


def test_results_stand_with_the_others() -> None:
    assert finetune_grid.RESULTS.parent == RESULTS
    assert set(finetune_data.SETS) >= {"sst2", "snips", "banking77", "tweeteval-emotion", "sick", "ner-wikigold"}
