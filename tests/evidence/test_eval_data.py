"""Which data the gate is given, and what a metric on them is compared with."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from edgepack.bundle.manifest import MANIFEST_NAME, BundleManifest, TrainingRecord, load_manifest, write_model
from edgepack.bundle.verdict import Check
from edgepack.bundle.write import Bundle
from edgepack.console import Console
from edgepack.errors import InputError, MissingDependency
from edgepack.evidence import metric_check as module
from edgepack.evidence import teacher_answers
from edgepack.evidence.compare import compare
from edgepack.evidence.gate import gate
from edgepack.predict.bundle import Bundle as PredictedBundle
from edgepack.predict.data import answer_data
from edgepack.task.dataset import Dataset
from edgepack.task.examples import Columns, read_dataset
from edgepack.task.identity import examples_sha256
from edgepack.task.task import Task
from tests.evidence.world import World


def rows_of(world: World) -> list[tuple[str, str]]:
    lines = world.data.read_text().splitlines()[1:]
    return [(text, label) for text, _, label in (line.partition("\t") for line in lines)]


def write_rows(path: Path, rows: list[tuple[str, str]], header: str = "text\tlabel") -> str:
    path.write_text("\n".join([header, *("\t".join(row) for row in rows)]) + "\n")
    return str(path)


def metric(folder: Path, evaluation: str, **given: object) -> Check:
    (result,) = gate([folder], evaluation=evaluation, **given).bundles  # type: ignore[arg-type]
    return next(check for check in result.checks if check.name == "metric")


def others(world: World, tmp_path: Path, wrong: int = 0, count: int = 60) -> str:
    """Texts that the world lacks, labelled as the student answers but for `wrong` of them; both labels occur."""
    from edgepack.inference import predict
    from edgepack.task.tokenize import encode

    generator = np.random.default_rng(5)
    texts = [" ".join(generator.choice(list("abcdefgh"), size=generator.integers(1, 12))) for _ in range(6_000)]
    known = {text for text, _ in rows_of(world)}
    texts = [text for text in dict.fromkeys(texts) if text not in known]
    path = write_rows(tmp_path / "unlabelled.tsv", [(text, "negative") for text in texts])
    encoded = encode(read_dataset(path, world.task), world.task, world.tokenizer, 16)
    answers = predict(world.student, encoded, exact=True).argmax(axis=1)
    chosen = [
        int(i) for pair in zip(*(np.flatnonzero(answers == label) for label in (0, 1)), strict=False) for i in pair
    ]
    rows = [(texts[i], world.task.labels[answers[i] ^ int(n < wrong)]) for n, i in enumerate(chosen[:count])]
    return write_rows(tmp_path / "others.tsv", rows)


def test_the_same_examples_in_another_order_and_format_are_the_same_data(
    bundle: Bundle, world: World, tmp_path: Path
) -> None:
    rows = rows_of(world)
    reversed_rows = write_rows(tmp_path / "reversed.tsv", rows[::-1])
    with (tmp_path / "data.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    for source in (reversed_rows, str(tmp_path / "data.csv")):
        check = metric(bundle.folder, source)
        assert check.status == "passed"
        assert "measured again on the recorded 75 examples" in check.reason


def test_the_hash_is_of_examples(world: World) -> None:
    data = read_dataset(str(world.data), world.task)
    known = examples_sha256(data, world.task)
    turned = Dataset(data.examples[::-1], "elsewhere", "0")
    assert examples_sha256(turned, world.task) == known
    swapped = Task(world.task.name, world.task.labels[::-1])  # the same ids mean other labels
    assert examples_sha256(data, swapped) != known
    for changed in (data.examples[1:], (*data.examples, data.examples[0])):
        assert examples_sha256(Dataset(changed, "data", "0"), world.task) != known


def test_one_other_label_makes_other_data(bundle: Bundle, world: World, tmp_path: Path) -> None:
    rows = rows_of(world)
    first, label = rows[0]
    flipped = [(first, "negative" if label == "positive" else "positive"), *rows[1:]]
    check = metric(bundle.folder, write_rows(tmp_path / "flipped.tsv", flipped))
    assert "75 other examples than the recorded ones" in check.reason
    assert "measured again" not in check.reason


def test_a_figure_that_does_not_come_out_again_fails_in_either_direction(
    copy: Path, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgepack.evidence.metric_check import Answers, measured_again

    encoded = world.evaluation
    for value, status in ((1.0, "passed"), (0.99, "passed"), (0.97, "failed")):
        right = np.arange(75) < round(value * 75)
        answers = Answers(
            np.zeros((75, 2)), encoded, np.stack([right, np.ones(75)], axis=1).astype(np.int64), world.task
        )
        from edgepack.bundle.manifest import load_manifest

        manifest = load_manifest(copy)
        assert measured_again(answers, manifest).status == status
    low = manifest.metrics["artifact"].model_copy(update={"value": 0.9})
    better = manifest.model_copy(update={"metrics": {**manifest.metrics, "artifact": low}})
    everything = Answers(np.zeros((75, 2)), encoded, np.ones((75, 2), np.int64), world.task)
    assert measured_again(everything, better).status == "failed"  # better than recorded: another model or other data


def test_other_data_alone_are_held_against_a_constant_answer(bundle: Bundle, world: World, tmp_path: Path) -> None:
    check = metric(bundle.folder, others(world, tmp_path))
    assert check.status == "passed"
    assert check.limit == 0.5
    assert "retention cannot be judged; pass --teacher or --baseline" in check.reason
    assert metric(bundle.folder, others(world, tmp_path, wrong=30)).status == "failed"
    assert metric(bundle.folder, others(world, tmp_path, wrong=27)).status == "undecided"


def test_a_policy_that_requires_the_metric_is_not_content_with_that(
    bundle: Bundle, world: World, tmp_path: Path
) -> None:
    policy = tmp_path / "gate.toml"
    policy.write_text('require = ["metric"]')
    assert metric(bundle.folder, others(world, tmp_path), policy=policy).status == "not_run"
    assert metric(bundle.folder, str(world.data), policy=policy).status == "passed"


def trained_on(folder: Path, data: Dataset, task: Task, shared: float = 0.0) -> None:
    """Have the bundle say that these are its training examples."""
    manifest = load_manifest(folder)
    record = TrainingRecord(sha256=examples_sha256(data, task), n=len(data), shared=shared)
    write_model(folder / MANIFEST_NAME, manifest.model_copy(update={"training": record}))


def test_training_data_are_no_evaluation_data(
    copy: Path, bundle: Bundle, world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = others(world, tmp_path)
    data = read_dataset(source, world.task)
    trained_on(copy, Dataset(data.examples[::-1], "elsewhere", "0"), world.task)
    check = metric(copy, source)
    assert check.status == "failed"
    assert f"{source}: these are the examples that the model was trained on" in check.reason
    with pytest.raises(InputError, match=r"examples that the model was trained on.*give examples held out from it"):
        compare(bundle.folder, copy, evaluation=source)
    answer_data(PredictedBundle.load(copy), source, Columns(), console=Console())
    assert "examples that the model was trained on" in capsys.readouterr().err
    answer_data(PredictedBundle.load(copy), str(world.data), Columns(), console=Console())
    assert "trained on" not in capsys.readouterr().err
    assert "trained on" not in metric(copy, str(world.data)).reason


@pytest.mark.parametrize(("shared", "status"), [(0.0, "passed"), (0.3, "passed"), (0.9, "passed"), (0.95, "failed")])
def test_evaluation_texts_that_stand_in_the_training_data_are_said(
    copy: Path, world: World, shared: float, status: str
) -> None:
    data = read_dataset(str(world.data), world.task)
    trained_on(copy, Dataset(data.examples[1:], "", ""), world.task, shared)
    check = metric(copy, str(world.data))
    assert check.status == status
    assert (f"{100 * shared:.1f} % of the examples also stand in the training data" in check.reason) == (shared > 0)


def test_a_manifest_whose_two_data_are_one_is_not_believed(copy: Path, world: World) -> None:
    trained_on(copy, read_dataset(str(world.data), world.task), world.task)
    (result,) = gate([copy]).bundles
    (check,) = [check for check in result.checks if check.name == "consistency"]
    assert check.status == "failed"
    assert "the evaluation data are the training data" in check.reason


def test_data_with_one_label_say_nothing(bundle: Bundle, tmp_path: Path) -> None:
    check = metric(bundle.folder, write_rows(tmp_path / "one.tsv", [("a b", "negative"), ("c d", "negative")]))
    assert check.status == "failed"
    assert "all evaluation examples have the same label" in check.reason


def teacher_that_has(right: np.ndarray, patch: pytest.MonkeyPatch) -> None:
    """A teacher of which one knows what it has right."""

    def statistics(source: str, manifest: BundleManifest, task: Task, data: Dataset) -> np.ndarray:
        assert (source, manifest.teacher_longest, manifest.teacher.sha256) == ("teacher/", 16, "0" * 64)
        return np.stack([right, np.ones(len(right))], axis=1).astype(np.int64)

    patch.setattr(teacher_answers, "teacher_statistics", statistics)


def test_the_teacher_answers_other_data_too(
    bundle: Bundle, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = others(world, tmp_path, count=120)
    teacher_that_has(np.ones(120), monkeypatch)
    check = metric(bundle.folder, source, teacher="teacher/")
    assert check.status == "passed"
    assert "on 120 other examples than the recorded ones, the teacher's too" in check.reason
    hard = others(world, tmp_path, wrong=36, count=120)  # hard for the artifact
    assert metric(bundle.folder, hard, teacher="teacher/").status == "failed"
    teacher_that_has(np.arange(120) >= 36, monkeypatch)  # and as hard for the teacher
    assert metric(bundle.folder, hard, teacher="teacher/").status == "passed"


def test_on_the_recorded_data_the_teacher_s_figure_has_to_come_out_too(
    bundle: Bundle, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = bundle.manifest.metrics["teacher"].n
    teacher_that_has(np.ones(n), monkeypatch)
    check = metric(bundle.folder, world.data, teacher="teacher/")
    assert (check.status, "the teacher's is 1.0000 (1.0000 recorded)" in check.reason) == ("passed", True)
    teacher_that_has(np.arange(n) >= 9, monkeypatch)
    check = metric(bundle.folder, world.data, teacher="teacher/")
    assert (check.status, "(1.0000 recorded)" in check.reason) == ("failed", True)


def test_a_repeated_example_is_no_further_one(bundle: Bundle, world: World, tmp_path: Path) -> None:
    lines = world.data.read_text().splitlines()
    source = tmp_path / "repeated.tsv"
    for times, said in ((2, "other examples than the recorded ones"), (3, "only 40 are different ones")):
        source.write_text("\n".join([lines[0], *lines[1:41] * times]) + "\n")
        assert said in metric(bundle.folder, source).reason


def test_a_teacher_without_data_or_without_torch_is_one_line(
    bundle: Bundle, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="--teacher goes with --eval"):
        gate([bundle.folder], teacher="teacher/")

    def absent(name: str) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(module, "import_module", absent)
    with pytest.raises(MissingDependency, match=r'needs torch.*pip install "edgepack\[build\]"'):
        gate([bundle.folder], evaluation=str(world.data), teacher="teacher/")


def test_columns_are_those_given_else_those_of_the_build(
    bundle: Bundle, world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_rows(tmp_path / "named.tsv", rows_of(world), header="body\tkind")
    check = metric(bundle.folder, source, columns=Columns(text="body", label="kind"))
    assert "measured again" in check.reason
    recorded = bundle.manifest.evaluation
    assert recorded is not None
    told = recorded.model_copy(update={"columns": {"text": "body", "label": "kind"}})
    manifest = bundle.manifest.model_copy(update={"evaluation": told})
    given = module.Given(source, Columns())
    assert given.columns_for(manifest) == Columns(text="body", label="kind")
    assert module.Given(source, Columns(text="other")).columns_for(manifest).text == "other"


def test_what_the_reader_had_to_guess_is_said_once(
    bundle: Bundle, world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = [(text, str(world.task.labels.index(label))) for text, label in rows_of(world)]
    source = write_rows(tmp_path / "numbers.tsv", numbers)
    result = gate([bundle.folder, bundle.folder], evaluation=source, console=Console())
    assert result.passed, result.table()
    said = [line for line in capsys.readouterr().err.splitlines() if "integer" in line or "class ids" in line]
    assert len(said) == 1
