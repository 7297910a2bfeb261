"""A whole build on texts past the maximum length: words in windows, from plan to gate, predict and packages."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgepack.build.inputs import open_inputs
from edgepack.build.vectors import refuse_other_options
from edgepack.bundle.manifest import load_manifest
from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.evidence.calls import gate_bundles
from edgepack.finetune import Options, finetune
from edgepack.package import package_app
from edgepack.predict import Bundle, predict_data
from edgepack.task.examples import Columns
from tests.builds.tiny import QUIET, TARGETS, Files, build_shortly, make_teacher, request

KINDS = {"lamp": "light", "bright": "light", "song": "music", "tune": "music"}
FILLERS = ["please", "now", "could", "you", "just", "the", "my", "a", "some", "very"]
LENGTH = 24  # of the teacher's positions


def make_files(folder: Path) -> Files:
    """Sentences of 3 to 60 words, of which some are entities, and a teacher that takes 24 tokens."""
    generator = np.random.default_rng(0)
    rows = []
    for i in range(500):
        words = generator.choice([*FILLERS, *KINDS], generator.integers(30, 60) if i % 5 == 0 else 8).tolist()
        rows.append({"tokens": words, "tags": [f"B-{KINDS[w]}" if w in KINDS else "O" for w in words]})
    for name, chosen in (("train", rows[:400]), ("eval", rows[400:])):
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in chosen))
    options = Options(epochs=6, batch_size=16, learning_rate=2e-3)
    return make_teacher(folder, [" ".join(row["tokens"]) for row in rows], options, "jsonl", LENGTH)[0]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("windows"))


@pytest.fixture(scope="module")
def output(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_shortly(files, tmp_path_factory.mktemp("build") / "out", targets=TARGETS[:1])


def test_words_of_long_texts_are_read_in_windows_unless_they_are_to_be_cut(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = open_inputs(request(files, tmp_path), Console())
    said = " ".join(capsys.readouterr().err.split())
    assert "20 of 100 evaluation texts have more than 24 tokens; long texts are read whole, in windows of 24" in said
    assert whole.windows is not None
    assert (whole.windows.length, whole.windows.overlap, whole.windows.combine) == (24, 6, "inner")
    assert whole.evaluation.lengths.max() > 24
    assert whole.train.lengths.max() == 24
    assert len(whole.train) > 400 + 80  # the windows of long sentences are examples too
    cut = open_inputs(replace(request(files, tmp_path), long_texts="cut"), Console())
    assert "they are cut there; --long-texts windows" in " ".join(capsys.readouterr().err.split())
    assert (cut.windows, len(cut.train), cut.evaluation.lengths.max()) == (None, 400, 24)
    assert cut.uncommon == {}
    labelled = [int((inputs.evaluation.labels >= 0).sum()) for inputs in (whole, cut)]
    rows = [json.loads(line) for line in Path(files.evaluation).read_text().splitlines()]
    assert labelled[0] == sum(len(row["tags"]) for row in rows) > labelled[1]


def test_the_bundle_passes_the_gate_on_its_data(output: Path, files: Files) -> None:
    folder = output / "bundles" / TARGETS[0]
    manifest = load_manifest(folder)
    assert manifest.windows is not None
    assert json.loads((folder / "edgepack.json").read_text())["windows"] == {"overlap": 6, "combine": "inner"}
    assert manifest.max_length == LENGTH
    assert "longer texts in windows of 24 tokens" in (folder / "README.md").read_text()
    found = gate_bundles(folder, eval=files.evaluation)
    assert found.passed, found.table()


def test_goldens_hold_long_texts_whole(output: Path) -> None:
    lines = (output / "bundles" / TARGETS[0] / "golden.jsonl").read_text().splitlines()
    long = [golden for golden in map(json.loads, lines) if "windows" in golden]
    assert len(long) >= 5
    for golden in long:
        assert len(golden["logits"]) == len(golden["label"]) == len(golden["input_ids"]) > LENGTH
        assert (golden["windows"][0][0], golden["windows"][-1][1]) == (1, len(golden["input_ids"]) - 1)


def test_entities_behind_the_maximum_length_are_found(output: Path, files: Files) -> None:
    bundle = Bundle.load(output / "bundles" / TARGETS[0])
    answer = bundle(" ".join(["please"] * 60) + " song")
    assert [entity.text for entity in answer.entities] == ["song"]
    assert not answer.cut
    assert answer.warnings == ()
    found = predict_data(bundle, files.evaluation, compare_teacher=files.teacher, quiet=True)
    assert found.metric is not None
    assert found.metric.value == pytest.approx(bundle.manifest.metrics["artifact"].value)
    assert found.teacher is not None
    assert found.teacher.metric is not None
    assert found.teacher.metric.value == pytest.approx(bundle.manifest.metrics["teacher"].value)


@pytest.mark.needs_executorch
@pytest.mark.needs_litert
def test_other_runtimes_read_long_texts_whole(files: Files, tmp_path: Path) -> None:
    for package in ("executorch", "ai_edge_litert"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    targets = ("android-litert", "android-executorch")
    output = build_shortly(files, tmp_path / "out", targets=targets, budget_bytes=120_000, timed=False)
    for target in targets:
        folder = output / "bundles" / target
        assert load_manifest(folder).windows is not None
        found = gate_bundles(folder, eval=files.evaluation)
        assert found.passed, found.table()
        answer = Bundle.load(folder)(" ".join(["please"] * 60) + " song")
        assert [entity.text for entity in answer.entities] == ["song"]


@pytest.mark.parametrize("app", ["android", "web"])
def test_each_app_takes_the_bundle(output: Path, tmp_path: Path, app: str) -> None:
    package_app(output / "bundles" / TARGETS[0], app=app, output=tmp_path / app)
    assert any((tmp_path / app).rglob("edgepack.json"))


def test_vectors_are_of_one_input() -> None:
    with pytest.raises(InputError, match="--long-texts windows with feature-extraction is not supported"):
        refuse_other_options(None, "windows", Columns())


def labelled_files(folder: Path, files: Files) -> Files:
    """The same sentences with one label each: which kind of entity they have more of."""
    for name, source in (("train", files.train), ("eval", files.evaluation)):
        rows = [json.loads(line)["tokens"] for line in Path(source).read_text().splitlines()]
        kinds = [[KINDS[word] for word in words if word in KINDS] for words in rows]
        labels = [max(("light", "music"), key=found.count) for found in kinds]
        lines = [f"{' '.join(words)}\t{label}\n" for words, label in zip(rows, labels, strict=True)]
        (folder / f"{name}.tsv").write_text("text\tlabel\n" + "".join(lines))
    paths = Files(str(folder / "teacher"), str(folder / "train.tsv"), str(folder / "eval.tsv"))
    base, options = str(Path(files.teacher).parent / "base"), Options(epochs=3, batch_size=16, learning_rate=2e-3)
    finetune(base, paths.train, paths.evaluation, folder / "teacher", options=options, console=QUIET)
    return paths


def test_labelled_texts_are_cut_unless_windows_are_asked_for(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = labelled_files(tmp_path, files)
    cut = open_inputs(request(paths, tmp_path, allow_untrained=True), Console())
    assert "20 of 100 evaluation texts have more than 24 tokens: they are cut there" in " ".join(
        capsys.readouterr().err.split()
    )
    assert cut.windows is None
    whole = open_inputs(replace(request(paths, tmp_path, allow_untrained=True), long_texts="windows"), Console())
    assert "combined by the mean of their logits" in " ".join(capsys.readouterr().err.split())
    assert whole.windows is not None
    assert whole.windows.combine == "mean"
    assert len(whole.teacher_logits) == len(whole.evaluation) == 100
    assert np.array_equal(whole.train.input_ids, cut.train.input_ids)
    short = whole.evaluation.lengths <= LENGTH
    assert np.allclose(whole.teacher_logits[short], cut.teacher_logits[short], atol=1e-5)
    assert not np.allclose(whole.teacher_logits[~short], cut.teacher_logits[~short], atol=1e-2)
