"""What would be refused after training is said by `plan`; what the teacher says of the training data, too."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from edgepack.build import before_training, linear
from edgepack.build.before_training import app_warnings, target_warnings
from edgepack.build.flow import plan_build
from edgepack.build.inputs import check_request
from edgepack.build.search_space import read_text_lines
from edgepack.console import Console
from edgepack.demo.base import make_tokenizer
from edgepack.errors import InputError
from edgepack.target import load_target
from edgepack.task import tokenize
from edgepack.teacher import load_teacher
from edgepack.tokenizer.asset import why_json
from tests.builds.tiny import QUIET, Files, request
from tests.teacher.tiny import byte_level_tokenizer, edit, write_teacher


class Listener(Console):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.said: list[str] = []

    def info(self, message: str) -> None:
        self.said.append(message)

    def warn(self, message: str) -> None:
        self.said.append(f"warning: {message}")


def test_options_that_would_do_nothing_are_refused(tmp_path: Path) -> None:
    write_teacher(tmp_path / "tags", kind="token")
    write_teacher(tmp_path / "score", num_labels=1)
    edit(tmp_path / "score", "config.json", id2label={"0": "score"}, label2id={"score": 0})
    files = Files(str(tmp_path / "tags"), "", "")
    asked = request(files, tmp_path, answer_rate=0.6)
    with pytest.raises(InputError, match=r"--answer-rate is 0\.6: it decides when an app says 'not sure', and that"):
        check_request(asked, load_teacher(files.teacher), ())
    with pytest.raises(InputError, match="the tag scheme of text-classification is 'BIO'"):
        load_teacher(str(tmp_path / "score"), tag_scheme="BIO")


def unigram(document: dict[str, Any]) -> None:
    pieces = sorted(document["model"]["vocab"], key=document["model"]["vocab"].__getitem__)
    document["model"] = {"type": "Unigram", "unk_id": 1, "vocab": [[piece, -1.0] for piece in pieces]}
    document["pre_tokenizer"] = {"type": "Whitespace"}


def added(**flags: bool | str) -> Callable[[dict[str, Any]], None]:
    token = {"id": 5, "content": "@user", "single_word": False, "lstrip": False, "rstrip": False, "special": False}
    return lambda document: document["added_tokens"].append({**token, "normalized": False, **flags})


KINDS: dict[str, tuple[Callable[[dict[str, Any]], Any], str | None]] = {
    "BERT's": (lambda d: None, None),
    "plain added tokens": (added(lstrip=True), None),
    "Unigram": (unigram, "its pre-tokenizer has the step Whitespace"),
    "words alone": (
        lambda d: d["model"].update(type="WordLevel"),
        "its model is WordLevel, not WordPiece, byte-level BPE or Unigram",
    ),
    "its own normalizer": (lambda d: d.update(normalizer={"type": "NFC"}), "its normalizer is NFC, not BertNormalizer"),
    "no normalizer": (lambda d: d.update(normalizer=None), "its normalizer is missing, not BertNormalizer"),
    "split at spaces": (
        lambda d: d.update(pre_tokenizer={"type": "WhitespaceSplit"}),
        "its pre-tokenizer is WhitespaceSplit, not BertPreTokenizer",
    ),
    "normalized tokens": (added(normalized=True), None),
    "a token that normalization removes": (
        added(normalized=True, content="\x00"),
        "its normalizer leaves nothing of the added token '\\x00'",
    ),
    "whole words": (added(single_word=True), "its added token '@user' is matched as a whole word only (single_word)"),
}


@pytest.mark.parametrize("name", KINDS)
def test_why_no_app_loads_a_tokenizer(name: str) -> None:
    change, reason = KINDS[name]
    document = json.loads(make_tokenizer(["play the song"]).backend_tokenizer.to_str())
    change(document)
    assert why_json(document) == reason


def test_plan_says_once_that_no_app_can_load_the_tokenizer(files: Files, tmp_path: Path) -> None:
    teacher = Path(shutil.copytree(files.teacher, tmp_path / "teacher"))
    document = json.loads((teacher / "tokenizer.json").read_text())
    document["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]}
    (teacher / "tokenizer.json").write_text(json.dumps(document))
    console = Listener()
    plan_build(replace(request(files, tmp_path / "out"), teacher=str(teacher), budget_bytes=90_000), console)
    (warning,) = (line for line in console.said if "tokenizer" in line)
    assert warning.startswith(
        "warning: tokenizer: no app of `edgepack package` can load it: its normalizer is Sequence"
    )


def test_an_asset_that_would_not_be_exact_is_refused(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = load_teacher(files.teacher).tokenizer
    assert app_warnings(tokenizer, [("please play the tune", None), ("lamp", "bright lamp")], 16) == []
    other = before_training.asset_bytes(make_tokenizer(["lamp"]))
    monkeypatch.setattr(before_training, "asset_bytes", lambda _: other)
    with pytest.raises(InputError, match=r"tokenizer\.bin, which apps load, would give other ids .* on 'please play"):
        app_warnings(tokenizer, [("please play the tune", None)], 16)


def test_byte_pairs_are_exact_and_have_apps() -> None:
    tokenizer = byte_level_tokenizer()
    assert why_json(json.loads(tokenizer.backend_tokenizer.to_str())) is None
    assert app_warnings(tokenizer, [("play the song", None)], 16) == []


def test_a_target_that_lacks_its_package_here_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(before_training, "version", missing)
    names = ("android-onnx", "android-executorch", "ios-coreml")
    executorch, coreml = target_warnings([load_target(name) for name in names])
    assert executorch.startswith("android-executorch: will be left out of a build here: its package is not installed")
    assert executorch.endswith('run: pip install "edgepack[executorch]"')
    assert coreml.endswith('run: pip install "edgepack[coreml]"')
    monkeypatch.setattr(before_training, "version", lambda package: "1")
    assert target_warnings([load_target(name) for name in names]) == []


def test_a_phone_target_without_an_app_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(before_training, "version", lambda package: "1")
    names = ("ios-onnx", "ios-executorch", "linux-onnx")
    (warning,) = target_warnings([load_target(name) for name in names])
    assert warning.startswith("ios-executorch: `edgepack package` has no app for it")


def test_the_teachers_accuracy_on_training_data_is_said(files: Files, tmp_path: Path) -> None:
    console = Listener()
    plan_build(request(files, tmp_path / "out"), console)
    assert any(
        line.startswith("teacher accuracy ") and line.endswith("on 480 training examples") for line in console.said
    )
    assert not any("contradict" in line or "another order" in line or "tokenizer" in line for line in console.said)


def relabelled(files: Files, folder: Path, names: dict[str, str]) -> str:
    header, *rows = Path(files.train).read_text().splitlines()
    lines = [f"{text}\t{names.get(label, label)}" for text, label in (row.split("\t") for row in rows)]
    path = folder / "train.tsv"
    path.write_text("\n".join([header, *lines, ""]))
    return str(path)


@pytest.mark.parametrize(
    "names", [{"light": "music", "music": "time", "time": "light"}, {"light": "music", "music": "light"}]
)
def test_training_labels_in_another_order_are_refused(files: Files, tmp_path: Path, names: dict[str, str]) -> None:
    asked = request(files, tmp_path / "out", train=relabelled(files, tmp_path, names))
    with pytest.raises(
        InputError, match=r"training data \(.*train\.tsv\): its labels stand in another order"
    ) as caught:
        plan_build(asked, QUIET)
    assert "it says 'light' (160 of 160)" in str(caught.value)
    assert str(caught.value).endswith("or pass --allow-untrained to go on with these")
    console = Listener()
    plan_build(replace(asked, allow_untrained=True), console)
    assert any(line.startswith("warning: training data") for line in console.said)


def test_raw_text_of_an_editor_on_windows(tmp_path: Path) -> None:
    path = tmp_path / "raw.txt"
    path.write_bytes(b"\xef\xbb\xbfplay the song\r\n\r\nstop\r\n")
    assert read_text_lines(path) == ["play the song", "", "stop"]


def test_a_plan_reads_and_tokenizes_each_text_once(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    own = tokenize.encode_texts
    monkeypatch.setattr(tokenize, "encode_texts", lambda *args: seen.extend(args[1]) or own(*args))
    monkeypatch.setattr(linear, "read_both", lambda *_: pytest.fail("read again"))
    report = plan_build(request(files, tmp_path / "out"), QUIET)
    assert len(seen) == 600
    assert report.linear is not None
