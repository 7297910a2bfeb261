"""A whole build of a model that embeds texts: plain text trains it; pairs, a search or the teacher measure it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgepack.build.flow import open_build, plan_build
from edgepack.build.single_stage import reopen, validate_output
from edgepack.bundle.manifest import load_manifest
from edgepack.errors import InputError
from edgepack.evidence import compare_cpus
from edgepack.evidence.calls import gate_bundles
from edgepack.evidence.compare import compare
from edgepack.predict import Bundle, predict_data
from edgepack.runtime import load
from edgepack.runtime.predict import predict_session
from edgepack.target import load_target
from edgepack.task.encoded import Encoded
from edgepack.task.examples import Columns
from edgepack.task.similarity import Prompts, cosines
from edgepack.teacher import load_teacher
from edgepack.workspace import Workspace
from tests.builds.tiny import QUIET, TARGETS, Files, build_shortly, request
from tests.builds.vectors import SIZE, make_vector_files
from tests.teacher.tokenizers import unigram_tokenizer


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_vector_files(tmp_path_factory.mktemp("vectors"))


@pytest.fixture(scope="module")
def output(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_shortly(files, tmp_path_factory.mktemp("build") / "out")


@pytest.mark.parametrize("target", TARGETS)
def test_the_bundle_passes_the_gate_on_its_data(output: Path, files: Files, target: str) -> None:
    folder = output / "bundles" / target
    manifest = load_manifest(folder)
    assert (manifest.task, manifest.labels) == ("feature-extraction", [])
    assert manifest.vector is not None
    assert (manifest.vector.size, manifest.vector.normalized, manifest.vector.judged) == (SIZE, True, "pairs")
    assert [each.name for each in manifest.outputs] == ["sentence_embedding"]
    assert manifest.outputs[0].shape[-1] == SIZE
    assert manifest.metrics["artifact"].name == "spearman"
    assert manifest.metrics["artifact"].n == 120
    assert manifest.linear is None
    found = gate_bundles(folder, eval=files.evaluation)
    assert found.passed, found.table()
    assert gate_bundles(folder, student=output / "student").passed


def test_a_bundle_gives_vectors(output: Path, files: Files) -> None:
    bundle = Bundle.load(output / "bundles" / TARGETS[0])
    one, same, other = bundle(["play the song now", "play the song now", "could you dim the lamp"])
    assert one.vector is not None
    assert one.vector == same.vector
    assert len(one.vector) == SIZE
    assert np.linalg.norm(one.vector) == pytest.approx(1, abs=1e-4)
    assert one.label is None
    record = json.loads(json.dumps(one.to_record()))
    assert record["vector"] == pytest.approx(list(one.vector))
    assert "labels" not in record
    assert one.lines()[1].endswith(f"({SIZE} numbers)")
    assert float(cosines(np.array(one.vector), np.array(other.vector))) < 0.99


def test_data_are_measured_as_in_the_build(output: Path, files: Files) -> None:
    bundle = Bundle.load(output / "bundles" / TARGETS[0])
    found = predict_data(bundle, files.evaluation, compare_teacher=files.teacher, quiet=True)
    assert found.metric is not None
    assert found.metric.value == pytest.approx(bundle.manifest.metrics["artifact"].value, abs=1e-6)
    assert found.teacher is not None
    assert found.teacher.metric is not None
    assert found.teacher.metric.value == pytest.approx(bundle.manifest.metrics["teacher"].value, abs=1e-6)
    assert found.teacher.agreement > 0.8
    assert found.table()


@pytest.mark.parametrize(("kind", "metric", "n"), [("search", "ndcg_at_10", 40), ("texts.txt", "teacher_cosine", 100)])
def test_other_data_measure_by_what_they_hold(output: Path, files: Files, kind: str, metric: str, n: int) -> None:
    """The bundle was made with scored pairs."""
    folder, data = output / "bundles" / TARGETS[0], str(Path(files.teacher).parent / kind)
    alone = predict_data(folder, data, quiet=True)
    found = predict_data(folder, data, compare_teacher=files.teacher, quiet=True)
    assert alone.metric_name == found.metric_name == metric
    assert found.metric is not None
    assert found.metric.value > 0.8
    assert set(found.others) == ({"recall_at_10"} if kind == "search" else set())
    assert alone.metric == (None if kind == "texts.txt" else found.metric)
    assert (kind == "texts.txt") == ("add --compare-teacher" in alone.table())
    (result,) = gate_bundles(folder, eval=data, teacher=files.teacher).bundles
    (check,) = (check for check in result.checks if check.name == "metric")
    assert check.status in ("passed", "undecided"), check.reason
    assert f"on {n} other examples than the recorded ones, the teacher's too" in check.reason
    other = output / "bundles" / TARGETS[1]
    if kind == "search":
        assert compare(other, folder, evaluation=data).metrics.new == pytest.approx(found.metric.value)


def test_an_encoder_is_a_teacher_of_a_bundle_too(output: Path, files: Files, tmp_path: Path) -> None:
    """The bundle says how tokens become a vector, where the teacher's folder does not."""
    shutil.copytree(files.teacher, tmp_path / "plain")
    (tmp_path / "plain" / "modules.json").unlink()
    found = predict_data(output / "bundles" / TARGETS[0], files.evaluation, compare_teacher=tmp_path / "plain")
    assert found.teacher is not None
    assert found.teacher.metric is not None
    assert found.teacher.metric.value == pytest.approx(
        load_manifest(output / "bundles" / TARGETS[0]).metrics["teacher"].value, abs=1e-6
    )


def test_goldens_are_vectors(output: Path) -> None:
    lines = (output / "bundles" / TARGETS[0] / "golden.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    assert all("label" not in golden and "labels" not in golden for golden in found)
    assert {len(golden["logits"]) for golden in found} == {SIZE}


def test_two_releases_are_compared(output: Path, files: Files) -> None:
    old, new = (output / "bundles" / target for target in TARGETS)
    found = compare(old, new, evaluation=files.evaluation)
    assert found.metric is not None
    assert found.metric.value == pytest.approx(1, abs=0.1)
    assert found.flips == []


def test_the_analysis_says_how_near_the_vectors_are(output: Path) -> None:
    verdict = json.loads((output / "bundles" / TARGETS[0] / "verdict.json").read_text())
    others = {each["name"]: each for each in verdict["analysis"]["others"]}
    assert others["teacher_cosine"]["teacher"]["value"] == pytest.approx(1)
    assert 0.8 < others["teacher_cosine"]["artifact"]["value"] < 1
    assert verdict["divergence"] == pytest.approx(1 - others["teacher_cosine"]["artifact"]["value"], abs=0.02)
    found = verdict["analysis"]
    changes = {each["change"]: each for each in found["vector_changes"]}
    assert set(changes) == {"case", "typos", "spacing", "emoji", "accents"}
    assert {each["n"] for each in changes.values()} == {200}
    assert changes["typos"]["teacher"] < 0.999
    assert changes["typos"]["artifact"] < 0.999
    assert changes["spacing"]["artifact"] == pytest.approx(1)  # BERT's tokenizer sees no spaces
    assert sum(each["n"] for each in found["vector_slices"] if each["kind"] == "length") == 240
    assert sum(each["n"] for each in found["slices"] if each["kind"] == "length") == 120, "pairs"
    assert all(0.5 < each["cosine"] <= 1 for each in found["vector_slices"])
    page = (output / "report.html").read_text()
    assert "Nearness to the teacher by slice" in page
    assert "vector to that of its changed form</caption>" in page


def test_the_report_names_metric_and_divergence(output: Path) -> None:
    page = (output / "report.md").read_text()
    assert "Spearman's correlation" in page
    assert " of cosine |" in page
    assert " nats" not in page


def test_a_student_is_loaded_again(output: Path) -> None:
    build = reopen(output, QUIET)
    assert build.inputs.teacher.task.judged == "pairs"


@pytest.mark.parametrize(("kind", "metric", "n"), [("search", "ndcg_at_10", 40), ("texts.txt", "teacher_cosine", 100)])
def test_what_measures_follows_from_the_data(files: Files, tmp_path: Path, kind: str, metric: str, n: int) -> None:
    evaluation = str(Path(files.teacher).parent / kind)
    asked = request(files, tmp_path / "out", evaluation=evaluation)
    inputs = open_build(asked, Workspace(tmp_path / "out"), QUIET).inputs
    task = inputs.teacher.task
    assert task.metric_name == metric
    assert (
        len(task.statistics(inputs.teacher_logits, inputs.evaluation)) == n == task.observations(inputs.evaluation_data)
    )
    assert inputs.teacher_metric.value > 0.5


class Here:
    """This machine in place of another one."""

    def need(self, format: str) -> None: ...

    def predict(self, model: Path, encoded: Encoded, format: str) -> tuple[np.ndarray, str]:
        return predict_session(load(model, load_target(TARGETS[0]), threads=1), encoded), "1.0"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["search", None])
def test_other_measures_pass_the_gate(
    files: Files, tmp_path: Path, kind: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(files.teacher).parent
    evaluation = None if kind is None else str(folder / kind)
    teacher = shutil.copytree(files.teacher, tmp_path / "teacher")
    if kind is not None:
        (teacher / "config_sentence_transformers.json").write_text('{"prompts": {"query": "please "}}')
    changed = Files(str(teacher), files.train, evaluation)  # type: ignore[arg-type]
    output = build_shortly(changed, tmp_path / "out")
    bundle = output / "bundles" / TARGETS[0]
    if kind is not None:
        assert gate_bundles(bundle, eval=evaluation).passed
        found = Bundle.load(bundle)
        assert found.task.prompts == Prompts("please ", "")
        ranked = {each.pair: each.score for each in found.rank("dim the lamp", ["please dim the lamp", "a song"])}
        assert ranked["please dim the lamp"] == pytest.approx(1, abs=1e-5)
        assert json.loads((bundle / "edgepack.json").read_text())["vector"]["query_prompt"] == "please "
        return
    assert validate_output(output, QUIET).passed  # its texts are held out again
    monkeypatch.setitem(compare_cpus.ARCHITECTURES, "arm64", Here)
    (there,) = compare_cpus.compare_architecture(output, "arm64", 30, QUIET).comparisons  # here too
    assert (there.examples, there.passed) == (30, True)
    assert (there.metric_here, there.metric_there) == (pytest.approx(1), pytest.approx(1))
    changed_texts = tmp_path / "other.txt"
    changed_texts.write_text(Path(files.train).read_text() + "\none more text\n")
    manifest = json.loads((output / "edgepack.json").read_text())
    manifest["inputs"]["request"]["train"] = "../other.txt"
    (output / "edgepack.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"other.txt: is not the data with the texts that the build had.*--eval"):
        compare_cpus.compare_architecture(output, "arm64", 30, QUIET)
    texts = str(folder / "texts.txt")
    assert not gate_bundles(bundle, eval=texts).passed  # not measured: there is no teacher
    assert gate_bundles(bundle, eval=texts, teacher=files.teacher).passed


def test_a_student_with_another_tokenizer_embeds(files: Files, tmp_path: Path) -> None:
    unigram_tokenizer(Path(files.train).read_text().splitlines()).save_pretrained(tmp_path / "tokenizer")
    output = build_shortly(files, tmp_path / "out", student_tokenizer=str(tmp_path / "tokenizer"), max_drop=0.5)
    for evaluation in (files.evaluation, str(Path(files.train).parent / "search")):
        found = gate_bundles(output / "bundles" / TARGETS[0], eval=evaluation, student=output / "student")
        assert found.passed, found.table()
    texts = str(Path(files.train).parent / "texts.txt")
    compared = predict_data(output / "bundles" / TARGETS[0], texts, compare_teacher=files.teacher, quiet=True)
    assert compared.metric is not None
    assert compared.metric.value > 0.8


@pytest.mark.slow
@pytest.mark.parametrize(("family", "pooling"), [("modernbert", "mean"), ("deberta-v2", "first"), ("llama", "last")])
def test_a_teacher_of_any_architecture_embeds(tmp_path: Path, family: str, pooling: str) -> None:
    """One that is not carved, one of which parts are taken, one that reads from left to right."""
    files = make_vector_files(tmp_path, family, pooling)
    output = build_shortly(files, tmp_path / "out")
    bundle = output / "bundles" / TARGETS[0]
    found = gate_bundles(bundle, eval=files.evaluation, student=output / "student")
    assert found.passed, found.table()
    manifest = load_manifest(bundle)
    assert manifest.vector is not None
    assert (manifest.vector.pooling, manifest.vector.size) == (pooling, SIZE)
    texts = str(tmp_path / "texts.txt")
    compared = predict_data(bundle, texts, compare_teacher=files.teacher, quiet=True)
    assert compared.metric is not None
    assert compared.metric.value > 0.8


def test_texts_are_held_out_where_none_are_given(files: Files, tmp_path: Path) -> None:
    report = plan_build(request(files, tmp_path / "out", evaluation=None), QUIET)
    assert report.data.own == 630


def test_what_is_refused(files: Files, tmp_path: Path) -> None:
    labelled = tmp_path / "labelled.tsv"
    labelled.write_text("text\tlabel\nplay\tx\n")
    cases: list[tuple[dict[str, object], str]] = [
        ({"train": str(labelled)}, "is a sentence-transformers model.*--task feature-extraction"),
        ({"evaluation": files.train}, "train and eval are the same data"),
        ({"tag_scheme": "BIO"}, "--tag-scheme goes with tagged words"),
        ({"columns": Columns(names=("a", "b"))}, "--labels names classes; a model of feature-extraction has none"),
        ({"pooling": "mean", "task": "text-classification"}, "--pooling mean goes with --task feature-extraction"),
        ({"pooling": "first"}, "pooling is mean by its modules.json, first by --pooling"),
    ]
    for changes, message in cases:
        with pytest.raises(InputError, match=message) as caught:
            plan_build(request(files, tmp_path / "out", **changes), QUIET)
        assert "\n" not in str(caught.value)


def test_a_recipe_of_labels_is_refused(files: Files, tmp_path: Path) -> None:
    from edgepack.build.recipe import find_recipe

    asked = request(files, tmp_path / "out", recipe=find_recipe("hard-labels"), effort="hard-labels")
    with pytest.raises(InputError, match="hard_labels needs labels, and texts that are embedded have none"):
        plan_build(asked, QUIET)


def test_an_encoder_needs_to_be_told_how(files: Files, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    shutil.copytree(files.teacher, plain)
    (plain / "modules.json").unlink()
    with pytest.raises(InputError, match="pass --pooling"):
        plan_build(request(files, tmp_path / "out", teacher=str(plain), task="feature-extraction"), QUIET)
    asked = request(files, tmp_path / "out", teacher=str(plain), task="feature-extraction", pooling="last")
    assert plan_build(asked, QUIET).chosen.config.pooling == "last"
    assert load_teacher(str(plain), "feature-extraction", pooling="last").task.embeds
