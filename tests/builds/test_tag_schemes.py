"""Teachers of other tag schemes than BIO: what they are taken for, and from there to three apps."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgepack.build import tag_scheme
from edgepack.build.flow import build
from edgepack.build.tag_scheme import tell_scheme
from edgepack.bundle.manifest import load_manifest
from edgepack.demo.base import make_tokenizer
from edgepack.evidence.gate import gate
from edgepack.finetune import Options, finetune
from edgepack.package import APPS, AppOptions, package_bundle
from edgepack.predict import Bundle, predict_data
from edgepack.task.examples import read_dataset
from edgepack.task.schemes import SchemeName
from edgepack.task.task import Task
from edgepack.teacher import load_teacher
from tests.builds.tiny import QUIET, Files, request

LABELS = ("O", "B-x", "I-x")
SENTENCES = ("lamp song", "please the song lamp", "just a lamp")


def asked(monkeypatch: pytest.MonkeyPatch, folder: Path, decided: str, scheme: SchemeName | None = None) -> Any:
    """A teacher that gives each word of `SENTENCES` the tag that `decided` has for it, as far as telling needs one."""
    path = folder / "a.jsonl"
    rows = [{"tokens": text.split(), "tags": ["O"] * len(text.split())} for text in SENTENCES]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = Task("token-classification", LABELS, scheme=scheme)
    data = read_dataset(str(path), task)
    numbers = {"O": 0, "B": 1, "I": 2}

    def answer(_: object, encoded: Any) -> np.ndarray:
        logits = np.zeros((len(encoded.labels), 3), np.float32)
        logits[np.flatnonzero(encoded.labels >= 0), [numbers[letter] for letter in decided]] = 1
        return logits

    monkeypatch.setattr(tag_scheme, "predict", answer)
    tokenizer = make_tokenizer(list(SENTENCES))
    teacher = SimpleNamespace(task=task, tokenizer=tokenizer, max_length=32, load_model=lambda: None)
    return tell_scheme(teacher, data)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("decided", "scheme", "by"),
    [
        ("BIOOBIOOB", "BIO", "3 of 3 entities begin with B-"),
        ("IIOOIBOOI", "IOB1", "0 of 3 entities begin with B-"),
        ("OOOOOOOOO", "BIO", "the teacher finds no entity"),
    ],
)
def test_of_labels_that_two_schemes_have_the_answers_tell(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, decided: str, scheme: str, by: str
) -> None:
    told = asked(monkeypatch, tmp_path, decided)
    assert (told.scheme, told.task.scheme) == (scheme, scheme)
    assert by in told.note
    assert "--tag-scheme names another" in told.note


def test_what_the_user_says_is_not_asked_about(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert asked(monkeypatch, tmp_path, "IIOOIBOOI", "BIO").scheme == "BIO"


TAGGED: dict[SchemeName, dict[str, str]] = {  # the tag that each word has
    "IOBES": {"song": "S-x", "lamp": "B-x", "bright": "E-x"},
    "IOB1": {"song": "I-x", "lamp": "I-x", "bright": "B-x"},
    "plain": {"song": "NOUN", "lamp": "NOUN", "bright": "ADJ", "please": "X"},
}
OTHERS: dict[SchemeName, str] = {"IOBES": "O", "IOB1": "O", "plain": "Y"}


def write_tagged(folder: Path, scheme: SchemeName) -> tuple[str, str]:
    """Sentences of which each word decides its tag; `bright` stands behind `lamp` alone."""
    generator, paths = np.random.default_rng(0), []
    words = ["song", "lamp bright", "please", "the", "just", "now", "my"]
    for name, count in (("train", 240), ("eval", 60)):
        rows = []
        for _ in range(count):
            tokens = " ".join(generator.choice(words, generator.integers(2, 7))).split()
            rows.append({"tokens": tokens, "tags": [TAGGED[scheme].get(word, OTHERS[scheme]) for word in tokens]})
        paths.append(folder / f"{name}.jsonl")
        paths[-1].write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(paths[0]), str(paths[1])


@pytest.mark.slow
@pytest.mark.parametrize("scheme", TAGGED)
def test_a_teacher_of_the_scheme_becomes_three_apps(files: Files, tmp_path: Path, scheme: SchemeName) -> None:
    train, evaluation = write_tagged(tmp_path, scheme)
    options = Options(epochs=4, batch_size=16, learning_rate=2e-3, held_out=0.0, tag_scheme="data")
    base = str(Path(files.train).parent / "base")
    made = finetune(base, train, evaluation, tmp_path / "teacher", options=options, console=QUIET)
    assert made.metric > 0.95
    teacher = load_teacher(str(tmp_path / "teacher"))
    assert teacher.task.tag_scheme == scheme

    of = replace(files, teacher=str(tmp_path / "teacher"), train=train, evaluation=evaluation)
    (bundle,) = build(request(of, tmp_path / "out", targets=("android-onnx",)), QUIET).bundles
    manifest = load_manifest(bundle.folder)
    assert (manifest.tag_scheme, manifest.metrics["artifact"].name) == (scheme, made.metric_name)
    assert manifest.metrics["artifact"].value > 0.9
    assert manifest.linear is not None
    assert (manifest.linear.metric.name, manifest.linear.metric.n) == (made.metric_name, 60)
    (tmp_path / "gate.toml").write_text("min_gain_over_linear = 0.05")
    (judged,) = gate([bundle.folder], tmp_path / "gate.toml").bundles
    assert next(c for c in judged.checks if c.name == "linear").status == "failed"  # each word decides its tag
    (result,) = gate([bundle.folder], evaluation=evaluation).bundles
    assert {c.name: c.reason for c in result.checks if c.status == "failed" and c.name in KEPT} == {}
    assert next(c for c in result.checks if c.name == "metric").status == "passed"

    manifest_path = bundle.folder / "edgepack.json"
    document = manifest_path.read_text()
    for other in {"BIO", "IOBES", "plain"} - {scheme}:
        manifest_path.write_text(document.replace(f'"tag_scheme": "{scheme}"', f'"tag_scheme": "{other}"'))
        (faulty,) = gate([bundle.folder]).bundles
        assert next(c for c in faulty.checks if c.name == "consistency").status == "failed", other
    manifest_path.write_text(document)

    answer = Bundle.load(bundle.folder)("please my lamp bright")
    found = [(entity.label, entity.text) for entity in answer.entities]
    expected = {
        "IOBES": [("x", "lamp bright")],
        "IOB1": [("x", "lamp"), ("x", "bright")],
        "plain": [("X", "please"), ("Y", "my"), ("NOUN", "lamp"), ("ADJ", "bright")],
    }
    assert found == expected[scheme]
    assert predict_data(bundle.folder, evaluation, quiet=True).metric is not None
    for app in APPS:
        files_of_app = package_bundle(bundle.folder, app, tmp_path / app, AppOptions(), force_failed=True).files
        assert any("edgepack.json" in name for name in files_of_app)


KEPT = ("integrity", "evidence", "consistency", "goldens", "metric", "parity")
