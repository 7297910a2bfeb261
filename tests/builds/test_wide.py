"""A whole build with a wide table beside the encoder: fitted when training is over, kept where it helps, gated."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgepack.build import wide_table
from edgepack.build.flow import build, plan_build
from edgepack.build.inputs import BuildRequest, open_inputs
from edgepack.build.search_space import planned_rows
from edgepack.build.wide_table import add_wide_table, fit_table, token_shares
from edgepack.bundle.manifest import load_build_manifest
from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.evidence.calls import gate_bundles
from edgepack.finetune import Options
from edgepack.inference import predict
from edgepack.plan.space import Structure
from edgepack.student.config import StudentConfig
from edgepack.student.folder import load_student
from edgepack.student.model import Student
from edgepack.task.encoded import Encoded
from edgepack.task.task import Task
from edgepack.teacher.files import UNSEEN
from tests.builds.tiny import QUIET, TARGETS, TINY, Files, make_teacher, request

ROWS, LABELS = 64, 12
WORDS = [a + b for a in "bcdfgklmnprst" for b in ("a", "eb", "ig", "on", "ul")]
KEYS, FILLERS = WORDS[: 2 * LABELS], WORDS[2 * LABELS :]
POOR = Structure(wide_rows=ROWS, hidden_size=8, body_bits=4, embedding_bits=4)
WIDE = replace(TINY, examples_seen=32, structure=POOR)  # hardly learns


def make_files(folder: Path) -> Files:
    """Texts whose label one word decides, of twelve labels, and a two-layer teacher of them."""
    generator = np.random.default_rng(0)
    rows = []
    for _ in range(960):
        label = int(generator.integers(0, LABELS))
        words = [*generator.choice(FILLERS, 3), KEYS[LABELS * int(generator.integers(0, 2)) + label]]
        rows.append((" ".join(generator.permutation(words)), f"label{label}"))
    for name, chosen in (("train", rows[:800]), ("eval", rows[800:])):
        (folder / f"{name}.tsv").write_text("text\tlabel\n" + "".join(f"{t}\t{label}\n" for t, label in chosen))
    options = Options(epochs=8, batch_size=16, learning_rate=2e-3, label_smoothing=0.0, held_out=0.1)
    return make_teacher(folder, [text for text, _ in rows], options)[0]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("teacher"))


@pytest.fixture(scope="module")
def output(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("build") / "out"
    asked = request(files, folder, recipe=WIDE, timed=False, max_drop=0.9)
    assert build(asked, QUIET).passed
    return folder


def stages_of(output: Path) -> list[str]:
    return [stage["name"] for stage in load_build_manifest(output).stages]


def test_a_student_that_has_hardly_learnt_is_right_by_its_table(output: Path, files: Files) -> None:
    student = load_student(output / "student")
    assert student.config.wide_rows == ROWS
    assert "wide" in stages_of(output)
    for target in TARGETS:
        told = gate_bundles(output / "bundles" / target, eval=files.evaluation)
        assert told.passed, told.table()
        verdict = json.loads((output / "bundles" / target / "verdict.json").read_text())
        assert verdict["metrics"]["artifact"]["value"] > 0.8  # a bag of words decides the task


def test_a_table_that_does_not_help_is_in_no_record(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wide_table, "fit_table", lambda *_: (np.zeros((ROWS, LABELS)), np.zeros(LABELS)))
    asked = request(files, tmp_path / "out", recipe=WIDE, timed=False, max_drop=0.99, targets=TARGETS[:1])
    build(asked, QUIET)
    plan = load_build_manifest(asked.output).plan
    assert "wide_rows" not in plan["candidates"][0]
    assert not any(name.startswith("wide.") for name in plan["tensors"]["android-onnx"])
    file = asked.output / "bundles" / "android-onnx" / "onnx" / "model_quantized.onnx"
    assert plan["candidates"][0]["bytes"]["android-onnx"] == file.stat().st_size + plan["tokenizer_bytes"]


def test_the_plan_counts_the_tables_bytes(files: Files, tmp_path: Path) -> None:
    asked = request(files, tmp_path / "out", recipe=WIDE)
    planned = plan_build(asked, QUIET).plan.chosen
    assert planned.config.wide_rows == ROWS
    assert planned.describe()["wide_rows"] == ROWS
    assert sum(size for name, size in planned.sizes["android-onnx"].tensors if name.startswith("wide.")) > ROWS * 3


@pytest.mark.parametrize(
    ("changes", "rows"),
    [
        ({"recipe": WIDE, "budget_bytes": 45_000}, ROWS),
        ({"recipe": replace(WIDE, structure=replace(POOR, wide_rows=4096))}, 64),  # no more than there are tokens
        ({"recipe": replace(WIDE, structure=Structure(wide_rows=0))}, 0),
    ],
)
def test_who_gets_a_table(changes: dict[str, object], rows: int, files: Files, tmp_path: Path) -> None:
    asked: BuildRequest = request(files, tmp_path / "out", **changes)
    assert plan_build(asked, QUIET).plan.chosen.config.wide_rows == rows


@pytest.mark.parametrize(("budget", "rows"), [(60_000, 512), (250_000, 2048), (30_000, 256)])
def test_a_table_takes_a_tenth_of_the_budget_at_most(budget: int, rows: int, files: Files, tmp_path: Path) -> None:
    asked = request(files, tmp_path / "out", recipe=replace(WIDE, structure=replace(POOR, wide_rows=2048)))
    inputs = open_inputs(replace(asked, budget_bytes=budget), QUIET)
    assert planned_rows(replace(inputs, token_counts=np.ones(30_000))) == rows
    assert rows * LABELS / 2 <= budget / 10


@pytest.mark.parametrize(("wanted", "said"), [(512, False), (4096, True)])
def test_who_does_not_know_what_the_teacher_has_seen_gets_none(
    wanted: int, said: bool, files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = shutil.copytree(files.teacher, tmp_path / "teacher")
    (teacher / UNSEEN).unlink()
    recipe = replace(WIDE, structure=replace(POOR, wide_rows=wanted))
    asked = replace(request(files, tmp_path / "out", recipe=recipe), teacher=str(teacher))
    assert plan_build(asked, Console()).plan.chosen.config.wide_rows == 0
    assert ("no wide table, which the recipe asks for: teacher does not name" in capsys.readouterr().err) == said


def test_a_budget_that_has_no_room_for_a_table_gets_none(files: Files, tmp_path: Path) -> None:
    plain = request(files, tmp_path / "out", recipe=replace(WIDE, structure=replace(POOR, wide_rows=0)))
    asked = replace(plain, recipe=WIDE, budget_bytes=smallest_budget(plain), targets=("android-onnx",))
    chosen = plan_build(asked, QUIET).plan.chosen
    assert chosen.config.wide_rows == 0
    assert chosen.largest_bytes <= asked.budget_bytes


def smallest_budget(asked: BuildRequest) -> int:
    """What `plan` says that the smallest shape needs on `android-onnx`."""
    with pytest.raises(InputError, match="the smallest needs") as refused:
        plan_build(replace(asked, budget_bytes=2_000, targets=("android-onnx",)), QUIET)
    return int(str(refused.value).split("the smallest needs ")[1].split()[0])


def examples(count: int, seed: int = 0) -> Encoded:
    """Texts of five of sixty tokens; the first one of the lowest ten decides among three labels."""
    generator = np.random.default_rng(seed)
    rows = generator.integers(10, 60, (count, 5))
    labels = generator.integers(0, 3, count)
    rows[np.arange(count), generator.integers(0, 5, count)] = labels
    ids = rows.astype(np.int32).ravel()
    return Encoded(ids, np.zeros(len(ids), np.int8), np.arange(0, len(ids) + 1, 5, dtype=np.int64), labels)


def untrained(labels: int = 3) -> Student:
    torch.manual_seed(0)
    shape = {"num_heads": [1], "head_sizes": [8], "intermediate_sizes": [8], "num_hidden_layers": 1}
    config = StudentConfig(vocab_size=60, embedding_size=8, hidden_size=8, num_labels=labels, **shape)
    return Student(config).eval()


TASK = Task("text-classification", ("a", "b", "c"))


def test_rows_are_shares_of_a_texts_tokens() -> None:
    data = Encoded(np.array([1, 9, 1, 3], np.int32), np.zeros(4, np.int8), np.array([0, 3, 4]), np.array([0, 1]))
    assert np.allclose(token_shares(data, 8).toarray(), [[0, 1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0, 0, 0]])
    assert np.allclose(token_shares(data, 10).toarray()[0, [1, 9]], [2 / 3, 1 / 3])


@pytest.mark.parametrize("length", [60, 250])
def test_long_texts_are_learnt_as_short_ones_are(length: int) -> None:
    generator = np.random.default_rng(0)
    ids, labels = generator.integers(240, 260, (600, length)), generator.integers(0, 20, 600)
    own = length // 8  # tokens that tell the label, twelve to each
    ids[:, :own] = 12 * labels[:, None] + generator.integers(0, 12, (600, own))
    offsets = np.arange(0, ids.size + 1, length, dtype=np.int64)
    data = Encoded(ids.astype(np.int32).ravel(), np.zeros(ids.size, np.int8), offsets, labels)
    weights, intercepts = fit_table(data, 300, 20, seed=0)
    assert ((token_shares(data, 300) @ weights + intercepts).argmax(axis=1) == labels).mean() > 0.95


def test_the_table_is_kept_where_it_helps_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    train, held_out = examples(400), examples(100, seed=1)
    found = add_wide_table(untrained(), 60, train, held_out, TASK, 0, Console())
    assert found.config.wide_rows == 60
    assert TASK.score(predict(found, held_out, exact=True), held_out) > 0.95
    assert "a wide table of 60 rows: accuracy" in capsys.readouterr().err


def test_without_a_gain_the_student_stays_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    student, train = untrained(), examples(50)
    monkeypatch.setattr(wide_table, "fit_table", lambda *_: (np.zeros((60, 3)), np.zeros(3)))
    assert add_wide_table(student, 60, train, train, TASK, 0, Console()) is student
    said = capsys.readouterr().err
    assert "no wide table of 60 rows: accuracy 0.3000 with it on 50 examples held out, 0.3000 without it" in said
    assert "no more than chance" in said


@pytest.mark.parametrize(("gained", "lost", "better"), [(0, 0, False), (3, 1, False), (5, 1, True), (1, 5, False)])
def test_a_gain_within_its_error_is_none(gained: int, lost: int, better: bool) -> None:
    labels = np.zeros(20, np.int64)
    one, other = np.tile([1.0, 0.0], (20, 1)), np.tile([1.0, 0.0], (20, 1))
    one[:lost], other[lost : lost + gained] = [0.0, 1.0], [0.0, 1.0]
    assert wide_table.is_better(one, other, labels) is better


def test_a_label_without_examples_has_no_scores() -> None:
    train = examples(200)
    few = train.select(np.flatnonzero(train.labels != 1))
    weights, intercepts = fit_table(few, 60, 3, seed=0)
    assert (weights.shape, intercepts.shape) == ((60, 3), (3,))
    assert not weights[:, 1].any()
    assert weights[0, 0] > 0 > weights[2, 0]
    assert np.allclose(weights[:, 0], -weights[:, 2])


def test_much_data_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    train, seen = examples(200), []
    monkeypatch.setattr(wide_table, "MOST_WORK", 3 * 500)
    monkeypatch.setattr(
        wide_table, "token_shares", lambda data, rows: seen.append(len(data)) or token_shares(data, rows)
    )
    fit_table(train, 60, 3, seed=0)
    assert seen == [100]
