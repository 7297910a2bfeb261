"""The stage of the linear model by itself: what it writes, what it is compared by, data that changed meanwhile."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from edgepack.build import linear
from edgepack.build.inputs import Inputs
from edgepack.build.linear import (
    MODEL,
    compare_with_linear,
    linear_work,
    read_record,
    scored_words,
    train_linear_model,
)
from edgepack.console import Console
from edgepack.demo.base import make_tokenizer
from edgepack.errors import InputError
from edgepack.evidence.linear.model import read_linear
from edgepack.evidence.linear.tag_model import read_tagger
from edgepack.task.examples import Columns, read_both
from edgepack.task.intervals import Interval
from edgepack.task.task import Task
from edgepack.workspace import Stage, Workspace
from tests.builds.tiny import QUIET

PLAIN = Task("text-classification", ("no", "yes"))
PERFECT = Interval(1.0, 1.0, 1.0)


def write_texts(folder: Path, name: str, rows: range) -> str:
    path = folder / f"{name}.tsv"
    lines = [f"{'fine' if i % 2 else 'poor'} thing number {i}\t{'yes' if i % 2 else 'no'}" for i in rows]
    path.write_text("\n".join(["text\tlabel", *lines, ""]))
    return str(path)


def write_tags(folder: Path, name: str, rows: range) -> str:
    path = folder / f"{name}.conll"
    path.write_text("".join(f"in O\nPlace{i} B-place\n\n" for i in rows))
    return str(path)


def inputs_of(
    task: Task, train: str, evaluation: str, teacher: Interval = PERFECT, allow_untrained: bool = False
) -> Inputs:
    """The few parts of a build's inputs that the stage looks at."""
    found = read_both(train, evaluation, task)
    request = SimpleNamespace(
        train=train,
        evaluation=evaluation,
        columns=Columns(),
        budget_bytes=20_000,
        seed=0,
        allow_untrained=allow_untrained,
    )
    parts: dict[str, Any] = {"request": request, "teacher": SimpleNamespace(task=task, name="x")}
    parts["teacher_metric"] = teacher
    return cast(Inputs, SimpleNamespace(**parts, train_sha256=found[0].sha256, evaluation_data=found[1]))


def finished(inputs: Inputs, folder: Path) -> Stage:
    stage = Workspace(folder).stage("linear", {"of": "this test"})
    linear_work(inputs, QUIET)(stage)
    stage.finish()
    return stage


def test_texts_that_are_there_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, evaluation = write_texts(tmp_path, "train", range(60)), write_texts(tmp_path, "dev", range(100, 120))
    inputs = inputs_of(PLAIN, train, evaluation)
    read, expected = read_both(train, evaluation, PLAIN)[0], train_linear_model(inputs, QUIET)
    monkeypatch.setattr(linear, "read_both", lambda *_: pytest.fail("read again"))
    assert train_linear_model(inputs, QUIET, read).data == expected.data


@pytest.mark.parametrize(
    ("teacher", "allow_untrained", "warns"),
    [
        (Interval(0.5, 0.3, 0.7), False, True),
        (Interval(0.5, 0.3, 0.7), True, False),
        (Interval(0.95, 0.85, 1.0), False, False),
    ],
)
def test_a_teacher_that_a_linear_model_beats_is_doubted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], teacher: Interval, allow_untrained: bool, warns: bool
) -> None:
    train, evaluation = write_texts(tmp_path, "train", range(60)), write_texts(tmp_path, "dev", range(100, 120))
    train_linear_model(inputs_of(PLAIN, train, evaluation, teacher, allow_untrained), Console(quiet=True))
    said = capsys.readouterr().err.replace("\n", " ")
    expected = "teacher x: accuracy 0.5000 (0.3000 to 0.7000) on the evaluation data, a linear model of the same"
    assert (expected in said) == warns
    assert ("are these its tokenizer, weights and labels?" in said) == warns


def test_the_stage_holds_file_record_and_answers(tmp_path: Path) -> None:
    train, evaluation = write_texts(tmp_path, "train", range(60)), write_texts(tmp_path, "dev", range(100, 120))
    stage = finished(inputs_of(PLAIN, train, evaluation), tmp_path / "out")
    record = read_record(stage)
    assert record["bytes"] == (stage.folder / MODEL).stat().st_size <= 20_000
    assert read_linear((stage.folder / MODEL).read_bytes()).labels == 2
    assert compare_with_linear(stage, None) == compare_with_linear(stage, np.zeros(20)).model_copy(
        update={"counts": []}
    )  # type: ignore[union-attr]
    artifact = np.arange(20) < 15
    compared = compare_with_linear(stage, artifact)
    assert compared is not None
    assert compared.counts == [15, 0, 5, 0]  # the linear model is right on all


def test_of_scores_the_stage_holds_what_each_text_was_given(tmp_path: Path) -> None:
    task = Task("text-classification", ("score",), problem="regression")
    for name, rows in (("train", range(60)), ("dev", range(100, 120))):
        lines = [f"{'fine' if i % 2 else 'poor'} thing number {i}\t{4.5 if i % 2 else 1}" for i in rows]
        (tmp_path / f"{name}.tsv").write_text("\n".join(["text\tscore", *lines, ""]))
    inputs = inputs_of(task, str(tmp_path / "train.tsv"), str(tmp_path / "dev.tsv"))
    stage = finished(inputs, tmp_path / "out")
    truth = np.array([4.5 if i % 2 else 1.0 for i in range(100, 120)])
    compared = compare_with_linear(stage, np.stack([-truth, truth], axis=1))
    assert compared is not None
    assert not compared.counts
    assert sum(row[-1] for row in compared.rows) == 20
    assert all(row[0] == -row[1] == -row[3] for row in compared.rows)
    assert compared.metric.value > 0.9


def test_of_tags_the_words_count_that_the_artifact_scores(tmp_path: Path) -> None:
    task = Task("token-classification", ("O", "B-place", "I-place"))
    inputs = inputs_of(task, write_tags(tmp_path, "train", range(40)), write_tags(tmp_path, "dev", range(40, 52)))
    stage = finished(inputs, tmp_path / "out")
    assert read_tagger((stage.folder / MODEL).read_bytes()).labels == 3
    assert compare_with_linear(stage, None) is not None
    right, data = np.ones((12, 3), np.int64), inputs.evaluation_data
    tokenizer = make_tokenizer([example.text for example in data.examples])
    for longest, n, found in ((16, 12, 12), (3, 12, 0)):  # the second cuts each place off
        words = scored_words(data, task, tokenizer, longest)
        compared = compare_with_linear(stage, right if found else 0 * right, words)
        assert compared is not None
        assert not compared.counts
        assert sum(row[-1] for row in compared.rows) == compared.metric.n == n
        assert sum(row[5] * row[6] for row in compared.rows) == found
        assert compared.metric.value == float(found > 0)


def test_vectors_leave_the_reason_alone(tmp_path: Path) -> None:
    inputs = inputs_of(PLAIN, write_texts(tmp_path, "train", range(9)), write_texts(tmp_path, "dev", range(9, 12)))
    inputs.teacher.task = Task("feature-extraction", (), vector_size=4)  # type: ignore[misc]
    stage = finished(inputs, tmp_path / "out")
    assert "none for vectors" in read_record(stage)["reason"]
    assert not (stage.folder / MODEL).exists()
    assert compare_with_linear(stage, np.ones(3)) is None


def test_training_data_that_changed_meanwhile_are_refused(tmp_path: Path) -> None:
    inputs = inputs_of(PLAIN, write_texts(tmp_path, "train", range(60)), write_texts(tmp_path, "dev", range(100, 120)))
    write_texts(tmp_path, "train", range(62))
    with pytest.raises(InputError, match=r"train\.tsv has changed since it was read"):
        finished(inputs, tmp_path / "out")
