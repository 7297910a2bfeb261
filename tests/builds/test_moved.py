"""A finished build from another folder, after its whole tree was moved, and with inputs named where they are now."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgepack.build.flow import build as run_build
from edgepack.build.single_stage import Moved, bundle_output, reopen, validate_output
from edgepack.bundle.manifest import load_build_manifest
from edgepack.bundle.places import recorded_place
from edgepack.errors import InputError
from edgepack.report import write_report
from tests.builds.tiny import QUIET, Files, hashes, request, shorten


@pytest.fixture(scope="module")
def tree(files: Files, unbroken: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Teacher, data and output in one folder, as built there with relative paths."""
    root = tmp_path_factory.mktemp("tree") / "project"
    root.mkdir()
    shutil.copytree(files.teacher, root / "teacher")
    for path in (files.train, files.evaluation):
        shutil.copyfile(path, root / Path(path).name)
    shutil.copytree(unbroken, root / "out")
    asked = replace(request(files, Path("out")), teacher="teacher", train="train.tsv", evaluation="eval.tsv")
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)  # not done yet for a module's fixture: it would train in full
        patch.setattr("edgepack.build.flow.train", lambda *_, **__: pytest.fail("trained again"))
        patch.chdir(root)
        run_build(asked, QUIET)
    return root


def test_the_record_names_local_inputs_relative_to_it(tree: Path) -> None:
    asked = load_build_manifest(tree / "out").inputs["request"]
    assert [asked[name] for name in ("teacher", "train", "evaluation")] == ["../teacher", "../train.tsv", "../eval.tsv"]
    assert str(tree) not in json.dumps(asked)


def test_every_command_works_from_anywhere_and_after_a_move(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = hashes(tree / "out")
    moved = Path(shutil.copytree(tree, tmp_path / "moved"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr("edgepack.build.flow.train", lambda *_, **__: pytest.fail("trained again"))
    output = moved / "out"
    assert bundle_output(output, QUIET).passed
    assert validate_output(output, QUIET).passed
    assert all(path.is_file() for path in write_report(output))
    assert hashes(output) == before
    assert load_build_manifest(output).inputs["request"]["teacher"] == "../teacher"


def test_inputs_that_are_elsewhere_are_named_by_flags(tree: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(tree, tmp_path / "moved"))
    os.rename(moved / "eval.tsv", tmp_path / "held-out.tsv")
    with pytest.raises(
        InputError, match=r"the build's evaluation is not at .*eval\.tsv' any more; say where it is with --eval"
    ):
        bundle_output(moved / "out", QUIET)
    assert bundle_output(moved / "out", QUIET, Moved(evaluation=str(tmp_path / "held-out.tsv"))).passed
    assert load_build_manifest(moved / "out").inputs["request"]["evaluation"] == "../../held-out.tsv"


@pytest.mark.parametrize(
    "moved", [Moved(raw_text=Path("raw.txt")), Moved(student_tokenizer="tokenizer")], ids=["text", "tokenizer"]
)
def test_what_the_build_did_not_have_is_nowhere(tree: Path, moved: Moved) -> None:
    with pytest.raises(InputError, match=r"^--(raw-text raw\.txt|student-tokenizer tokenizer): the build .* none"):
        bundle_output(tree / "out", QUIET, moved)


@pytest.mark.parametrize(("name", "flag"), [("train", "-d"), ("evaluation", "--eval"), ("teacher", "-m")])
def test_other_inputs_than_the_builds_are_refused(
    tree: Path, tmp_path: Path, name: str, flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgepack.build.inputs.ask_teacher", lambda *_: pytest.fail("the teacher ran first"))
    moved = Path(shutil.copytree(tree, tmp_path / "moved"))
    if name == "teacher":
        config = json.loads((moved / "teacher" / "config.json").read_text())
        (moved / "teacher" / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-6}))
    else:
        path = moved / {"train": "train.tsv", "evaluation": "eval.tsv"}[name]
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(InputError, match=f"is not the {name} that the build had .* with {flag}"):
        bundle_output(moved / "out", QUIET)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda inputs: inputs["request"].update(colour="red"),
        lambda inputs: inputs.update(train=5),
        lambda inputs: inputs.pop("evaluation"),
        lambda inputs: inputs["teacher"].pop("sha256"),
    ],
)
def test_a_record_of_another_version_is_one_line(
    tree: Path, tmp_path: Path, spoil: Callable[[dict[str, Any]], None]
) -> None:
    output = Path(shutil.copytree(tree / "out", tmp_path / "out"))
    document = json.loads((output / "edgepack.json").read_text())
    spoil(document["inputs"])
    (output / "edgepack.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="its record of the build is of another version of edgepack; build again"):
        bundle_output(output, QUIET, Moved(str(tree / "teacher"), str(tree / "train.tsv"), str(tree / "eval.tsv")))


def test_what_is_not_on_this_machine_is_a_hub_id(tmp_path: Path) -> None:
    assert recorded_place("owner/name", tmp_path) == "owner/name"
    (tmp_path / "train.tsv").write_text("")
    assert recorded_place(str(tmp_path / "train.tsv"), tmp_path) == "./train.tsv"
    assert recorded_place(str(tmp_path / "train.tsv"), tmp_path / "a" / "out") == "../../train.tsv"


def test_a_build_that_recorded_its_raw_text_under_the_old_name_opens(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = Path(shutil.copytree(tree, tmp_path / "moved"))
    path = moved / "out" / "edgepack.json"
    document = json.loads(path.read_text())
    request = document["inputs"]["request"]
    request["text"] = request.pop("raw_text")
    path.write_text(json.dumps(document))
    assert reopen(moved / "out", QUIET).inputs.request.raw_text is None
