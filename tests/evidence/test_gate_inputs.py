"""What people give the gate and `package` that is no bundle, and policies as editors save them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from edgepack.bundle.manifest import load_build_manifest, load_manifest
from edgepack.errors import InputError
from edgepack.evidence.compare import compare
from edgepack.evidence.gate import gate
from edgepack.evidence.policy import read_policy
from edgepack.predict import Bundle as Answering
from edgepack.task.examples import Columns

POLICY = "max_bytes = 2_000_000\nmax_drop = 0.5\n"


@pytest.mark.parametrize(
    "content",
    [POLICY.encode(), POLICY.encode("utf-8-sig"), POLICY.replace("\n", "\r\n").encode()],
    ids=["plain", "with a mark", "of Windows"],
)
def test_a_policy_as_editors_save_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "gate.toml").write_bytes(content)
    policy = read_policy(tmp_path / "gate.toml")
    assert (policy.max_bytes, policy.max_drop) == (2_000_000, 0.5)


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_policy_in_another_encoding_says_so(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "gate.toml").write_bytes(f"# é\n{POLICY}".encode(encoding))
    with pytest.raises(InputError, match=r"gate\.toml: policy is not UTF-8 \(byte \d\); save it as UTF-8"):
        read_policy(tmp_path / "gate.toml")


def test_columns_of_no_data_are_refused(copy: Path) -> None:
    for call in (lambda columns: gate([copy], columns=columns), lambda columns: compare(copy, copy, columns=columns)):
        with pytest.raises(InputError, match=r"^columns are named and no data set is given; add --eval$"):
            call(Columns(text="body"))


def test_a_label_out_of_scope_that_no_row_has_is_refused(copy: Path, tmp_path: Path) -> None:
    data = tmp_path / "eval.tsv"
    data.write_text("text\tlabel\na\tnegative\nb\tpositive\n")
    (check,) = [
        check
        for check in gate([copy], evaluation=str(data), columns=Columns(outside="oos")).bundles[0].checks
        if check.name == "metric"
    ]
    assert check.status == "failed"
    assert "eval.tsv has the label 'oos' of --out-of-scope; give the label as the data spell it" in check.reason


def test_a_result_takes_no_place_of_what_is_read(copy: Path, tmp_path: Path) -> None:
    policy, data = tmp_path / "gate.toml", tmp_path / "eval.tsv"
    policy.write_text(POLICY)
    data.write_text("text\tlabel\na\tnegative\n")
    with pytest.raises(InputError, match="lies in the bundle"):
        gate([copy], junit=copy / "README.md")
    with pytest.raises(InputError, match="lies in the bundle"):
        gate([copy], markdown=copy / "new" / "gate.md")
    for place in (policy, data):
        with pytest.raises(InputError, match="is read too"):
            gate([copy], policy, evaluation=str(data), junit=tmp_path / "." / place.name)
    for name in ("student", "teacher"):
        with pytest.raises(InputError, match=f"lies in the {name}"):
            gate([copy], junit=tmp_path / name / "gate.xml", **{name: tmp_path / name})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="or written twice"):
        gate([copy], junit=tmp_path / "result", markdown=tmp_path / "result")
    assert policy.read_text() == POLICY
    assert gate([copy], policy, junit=tmp_path / "gate.xml").passed


def test_a_baseline_whose_files_are_changed_is_no_release(copy: Path, tmp_path: Path) -> None:
    shutil.copytree(copy, tmp_path / "old")
    (tmp_path / "old" / "README.md").write_text("another")
    (result,) = gate([copy], baseline=tmp_path / "old").bundles
    found = next(check for check in result.checks if check.name == "baseline")
    assert found.status == "failed"
    assert found.reason.startswith("the baseline is damaged: README.md")


def test_a_model_of_other_labels_than_its_manifest_is_one_line(copy: Path) -> None:
    document = json.loads((copy / "edgepack.json").read_text())
    (copy / "edgepack.json").write_text(json.dumps({**document, "labels": ["one", "two", "three"]}))
    with pytest.raises(InputError, match=r"the model gives 2 numbers, edgepack\.json is of 3"):
        Answering.load(copy)("a b c")


def test_a_build_given_for_a_bundle_is_answered_with_its_bundles(tmp_path: Path) -> None:
    (tmp_path / "edgepack.json").write_text(json.dumps({"artifacts": []}))
    for name in ("android-onnx", "ios-onnx"):
        (tmp_path / "bundles" / name).mkdir(parents=True)
        (tmp_path / "bundles" / name / "edgepack.json").write_text("{}")
    bundles = ", ".join(str(tmp_path / "bundles" / name) for name in ("android-onnx", "ios-onnx"))
    for ask in (load_manifest, lambda folder: gate([folder])):
        with pytest.raises(
            InputError, match=re.escape(f"is the output of a build, not a bundle; give one of its bundles: {bundles}")
        ):
            ask(tmp_path)
        with pytest.raises(InputError, match=re.escape(f"give one of the bundles in it: {bundles}")):
            ask(tmp_path / "bundles")
        with pytest.raises(InputError, match="give a folder under OUT/bundles of a build"):
            ask(tmp_path / "bundles" / "absent")


def test_a_bundle_given_for_a_build_is_answered_with_where_the_build_is(tmp_path: Path) -> None:
    (tmp_path / "edgepack.json").write_text(json.dumps({"files": []}))
    with pytest.raises(InputError, match="is a bundle, not a build; give the -o folder of its build"):
        load_build_manifest(tmp_path)


def test_a_build_that_was_stopped_is_answered_with_how_it_goes_on(tmp_path: Path) -> None:
    (tmp_path / ".edgepack").mkdir()
    with pytest.raises(
        InputError, match=r"has no edgepack\.json: what writes it was stopped or still runs; give the sa"
    ):
        load_build_manifest(tmp_path)
