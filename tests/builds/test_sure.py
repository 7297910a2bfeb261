"""A whole build of data with texts out of scope: what is held out, the least confidence, gate, predict, report."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgepack.build.inputs import open_inputs
from edgepack.bundle.manifest import load_manifest, read_model
from edgepack.bundle.verdict import VERDICT_NAME, Verdict
from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.evidence.calls import gate_bundles
from edgepack.finetune import Options
from edgepack.predict import Bundle, predict_data
from edgepack.task.encoded import Encoded
from edgepack.task.examples import Columns, read_dataset
from edgepack.teacher import write_unseen
from tests.builds.tiny import QUIET, TARGETS, Files, build_shortly, make_teacher, request

WORDS = {"light": ["lamp", "bright", "dim"], "music": ["song", "play", "tune"], "time": ["clock", "alarm", "hour"]}
FILLERS = [a + b for a in "bcdfgklmnprst" for b in ("a", "eb", "ig", "on", "ul")]
COLUMNS = Columns(outside="oos")


def make_files(folder: Path) -> Files:
    """Texts whose label one word decides, others without such a word, and a two-layer teacher of the labels."""
    generator = np.random.default_rng(0)
    rows = []
    for _ in range(900):
        label = str(generator.choice([*WORDS, "oos"]))
        known = [generator.choice(WORDS[label])] if label in WORDS else []
        rows.append((" ".join(generator.permutation([*generator.choice(FILLERS, 5), *known])), label))
    for name, chosen in (("train", rows[:760]), ("eval", rows[760:])):
        (folder / f"{name}.tsv").write_text("text\tlabel\n" + "".join(f"{t}\t{label}\n" for t, label in chosen))
    options = Options(epochs=8, batch_size=16, learning_rate=2e-3, label_smoothing=0.0, held_out=0.0)
    return make_teacher(folder, [text for text, _ in rows], options, columns=COLUMNS)[0]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("sure"))


@pytest.fixture(scope="module")
def output(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    changes = {"columns": COLUMNS, "answer_rate": 0.9, "timed": False}
    return build_shortly(files, tmp_path_factory.mktemp("build") / "out", **changes)


def texts_of(encoded: Encoded) -> list[bytes]:
    return [encoded.input_ids[encoded.rows([i])].tobytes() for i in range(len(encoded))]


def test_nothing_is_trained_on_what_is_held_out_or_out_of_scope(files: Files, tmp_path: Path) -> None:
    inputs = open_inputs(request(files, tmp_path / "out", columns=COLUMNS), QUIET)
    assert inputs.held_out is not None
    assert inputs.outside is not None
    trained, held = (set(texts_of(each)) for each in (inputs.train, inputs.held_out))
    assert 50 <= len(inputs.held_out) <= 60
    assert not trained & held
    assert len(inputs.train) + len(inputs.held_out) + len(inputs.outside) == 760
    assert inputs.teacher.task.labels == tuple(sorted(WORDS))


@pytest.mark.parametrize(("count", "unseen"), [(70, True), (20, False)])
def test_what_the_teacher_has_not_seen_is_held_out_of_the_student_too(
    count: int, unseen: bool, files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = shutil.copytree(files.teacher, tmp_path / "teacher")
    asked = replace(request(files, tmp_path / "out", columns=COLUMNS), teacher=str(teacher))
    task = open_inputs(asked, QUIET).teacher.task
    new = [e for e in read_dataset(files.train, task, COLUMNS).examples if e.label == 0][:count]
    write_unseen(teacher, new)
    inputs = open_inputs(asked, Console())
    assert inputs.held_out is not None
    assert inputs.unseen is unseen
    assert (inputs.held_out.labels == 0).all() == unseen
    assert 50 <= len(inputs.held_out) <= 60
    assert ("the teacher was not trained on" in capsys.readouterr().err) == unseen


def test_the_bundle_knows_when_it_is_not_sure(output: Path, files: Files) -> None:
    for target in TARGETS:
        folder = output / "bundles" / target
        manifest, verdict = load_manifest(folder), read_model(folder / VERDICT_NAME, Verdict)
        assert verdict.confidence is not None
        assert manifest.min_confidence == verdict.confidence.min_confidence
        assert manifest.temperature == verdict.confidence.temperature
        assert len(verdict.confidence.outside) > 30
        assert manifest.evaluation is not None
        assert manifest.evaluation.columns == {"outside": "oos"}
        assert verdict.analysis is not None
        found = verdict.analysis.sureness
        assert found is not None
        assert found.auroc is not None
        assert found.auroc.value > 0.8
        assert not found.outside_of_training
        assert found.outside + found.n == 140
        assert found.outside_answered < 0.5 * found.outside < found.answered
        assert "Not sure below a probability of" in (folder / "README.md").read_text()
        told = gate_bundles(folder, eval=files.evaluation)
        assert told.passed, told.table()
    assert "AUROC" in (output / "report.html").read_text()


def test_predict_says_that_it_is_not_sure(output: Path, files: Files) -> None:
    bundle = Bundle.load(output / "bundles" / TARGETS[0])
    found = predict_data(bundle, files.evaluation, quiet=True)
    unsure = [answer for answer in found.outside if not answer.sure]
    assert len(unsure) > 0.5 * len(found.outside)
    assert f"of {len(found.outside)} texts out of scope, the model is not sure of {len(unsure)}" in found.table()
    record = json.loads(json.dumps(found.to_record()))
    assert record["unsure"] == found.unsure == sum(not answer.sure for answer in found.answers)
    assert unsure[0].lines()[1] == "  not sure; the best guesses:"
    assert unsure[0].to_record()["sure"] is False
    assert unsure[0].label in WORDS
    assert unsure[0].probability is not None
    assert unsure[0].probability < (bundle.manifest.min_confidence or 0)


def test_too_few_rows_to_tell_apart_are_refused(files: Files, tmp_path: Path) -> None:
    lines = Path(files.train).read_text().splitlines(keepends=True)
    foreign = [line for line in lines if line.endswith("oos\n")]
    few = [line for line in lines if line not in foreign[5:]]
    (tmp_path / "few.tsv").write_text("".join(few))
    with pytest.raises(InputError, match=r"5 rows are out of scope, .* at least 100 and 500 are needed"):
        open_inputs(request(files, tmp_path / "out", train=str(tmp_path / "few.tsv"), columns=COLUMNS), QUIET)


def test_examples_that_repeat_a_trained_one_are_not_held_out(files: Files, tmp_path: Path) -> None:
    lines = Path(files.train).read_text().splitlines(keepends=True)
    (tmp_path / "twice.tsv").write_text("".join([*lines, *lines[1::2]]))
    inputs = open_inputs(request(files, tmp_path / "out", train=str(tmp_path / "twice.tsv"), columns=COLUMNS), QUIET)
    if inputs.held_out is not None:
        assert not set(texts_of(inputs.train)) & set(texts_of(inputs.held_out))
