"""Manifests: which folder is a bundle and which a build, what reading refuses, what writing writes."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path

import pytest
from pydantic import BaseModel, Field, field_validator

from edgepack.bundle import manifest as manifest_module
from edgepack.bundle.manifest import (
    BuildManifest,
    BundleManifest,
    FileRecord,
    MetricRecord,
    PaddingRecord,
    RuntimeRecord,
    TeacherRecord,
    artifact_sha256,
    file_record,
    is_model_file,
    load_build_manifest,
    load_manifest,
    model_hashes,
    model_text,
    parse_model,
    read_bounded,
    read_json,
    read_model,
    refuse_build,
    refuse_other_folder,
    runtime_record,
    task_of,
    write_model,
)
from edgepack.errors import InputError, bare
from edgepack.evidence.metric_check import refuse_other_task
from edgepack.target import load_target
from edgepack.workspace import hash_json

ONNX, COREML = load_target("android-onnx"), load_target("ios-coreml")
BUILD = BuildManifest(
    inputs={}, plan={}, stages=[], versions={}, seed=1, metrics={}, artifacts=[], created="2026-01-01T00:00:00+00:00"
)


def bundle_manifest(target: str = ONNX.name, files: dict[str, str] | None = None) -> BundleManifest:
    """A manifest of files with these hashes."""
    records = [FileRecord(path=p, bytes=1, sha256=sha, shipped=True) for p, sha in (files or {}).items()]
    return BundleManifest(
        task="text-classification", labels=["no", "yes"], max_length=8, padding=PaddingRecord(), inputs=[], outputs=[],
        target=target, runtime=runtime_record(load_target(target)), files=records, shipped_bytes=1, budget_bytes=2,
        metrics={"artifact": MetricRecord(name="accuracy", value=1, n=9, low=0.7, high=1)},
        teacher=TeacherRecord(name="t", sha256="0" * 64), edgepack_version="0", created="2026-01-01T00:00:00+00:00",
    )  # fmt: skip


def said(folder: Path, ask: object) -> str:
    """The message of the `InputError` that `ask(folder)` raises, the folder as `F`."""
    with pytest.raises(InputError) as error:
        ask(folder)  # type: ignore[operator]
    return str(error.value).replace(str(folder), "F")


def test_manifests_come_back_as_they_were_written(tmp_path: Path) -> None:
    for model, load in ((bundle_manifest(), load_manifest), (BUILD, load_build_manifest)):
        write_model(tmp_path / "edgepack.json", model)
        refuse_other = load_manifest if load is load_build_manifest else load_build_manifest
        assert load(tmp_path) == model
        with pytest.raises(InputError):
            refuse_other(tmp_path)


@pytest.mark.parametrize("value", ["0", "-1", "-0.5", "NaN", "Infinity", '"a"'])
def test_a_temperature_that_divides_nothing_is_refused(tmp_path: Path, value: str) -> None:
    document = {**bundle_manifest().model_dump(mode="json", by_alias=True), "temperature": 1.5}
    path = tmp_path / "edgepack.json"
    path.write_text(json.dumps(document))
    assert load_manifest(tmp_path).temperature == 1.5
    path.write_text(json.dumps(document).replace('"temperature": 1.5', f'"temperature": {value}'))
    assert said(tmp_path, load_manifest).startswith("F/edgepack.json: temperature: ")


def test_the_task_of_a_manifest_has_its_tag_scheme() -> None:
    tags = {"task": "token-classification", "labels": ["O", "B-x", "I-x"]}
    old, new = (bundle_manifest().model_copy(update={**tags, "tag_scheme": scheme}) for scheme in (None, "IOB1"))
    assert [task_of(each).tag_scheme for each in (old, new)] == ["BIO", "IOB1"]
    with pytest.raises(InputError, match="the tags of the two bundles mean different things: BIO and IOB1"):
        refuse_other_task(old, new)


def test_a_manifest_that_leaves_out_what_may_be_absent(tmp_path: Path) -> None:
    document = bundle_manifest().model_dump(mode="json", by_alias=True)
    for key in ("schema", "pair", "padding", "evaluation", "temperature", "tag_scheme"):
        del document[key]
    (tmp_path / "edgepack.json").write_text(json.dumps({**document, "padding": {}, "newer": 1}))
    manifest = load_manifest(tmp_path)
    assert (manifest.schema_version, manifest.pair, manifest.evaluation, manifest.temperature) == (1, False, None, None)
    assert manifest.padding.model_dump() == {"side": "right", "id": 0, "token": None}
    assert (manifest.model_extra, manifest.teacher.licence) == ({"newer": 1}, None)


def test_a_build_is_refused_where_a_bundle_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "edgepack.json"
    path.write_text(json.dumps({"artifacts": []}))
    for ask in (load_manifest, refuse_build):
        assert said(tmp_path, ask) == (
            "F is the output of a build, not a bundle; none of its targets was built; build it again"
        )
    (tmp_path / "bundles" / "a").mkdir(parents=True)
    (tmp_path / "bundles" / "a" / "edgepack.json").write_text("{}")
    assert (
        said(tmp_path, refuse_build) == "F is the output of a build, not a bundle; give one of its bundles: F/bundles/a"
    )
    for keys in ({}, {"files": []}, {"files": [], "artifacts": []}):
        path.write_text(json.dumps(keys))
        refuse_build(tmp_path)


def test_a_bundle_is_refused_where_a_build_is_needed(tmp_path: Path) -> None:
    assert said(tmp_path, load_build_manifest) == (
        "F is no build: it has no edgepack.json; give the -o folder of `edgepack build`"
    )
    path = tmp_path / "edgepack.json"
    path.write_text(json.dumps({"files": []}))
    assert said(tmp_path, load_build_manifest) == (
        "F is a bundle, not a build; give the -o folder of its build, the one above bundles/"
    )
    for keys in ({}, {"artifacts": []}, {"files": [], "artifacts": []}):
        path.write_text(json.dumps(keys))
        assert said(tmp_path, load_build_manifest).startswith("F/edgepack.json: ")


@pytest.mark.parametrize("ask", [load_manifest, refuse_other_folder])
def test_a_folder_without_a_manifest_is_answered_with_the_bundles_in_it(tmp_path: Path, ask: object) -> None:
    assert said(tmp_path, ask) == (
        "F is no bundle: it has no edgepack.json; give a folder under OUT/bundles of a build"
    )
    for i in (3, 1, 0, 2, 4, 5):
        (tmp_path / "bundles" / f"b{i}").mkdir(parents=True)
        (tmp_path / "bundles" / f"b{i}" / "edgepack.json").write_text("{}")
    (tmp_path / "bundles" / "no-bundle").mkdir()
    known = [f"F/bundles/b{i}" for i in range(5)]
    wanted = f"F is no bundle: it has no edgepack.json; give one of the bundles in it: {', '.join(known)}"
    assert said(tmp_path, ask) == wanted
    assert said(tmp_path / "bundles", ask) == wanted.replace("F/bundles/", "F/")


def test_a_name_in_a_message_is_cut_and_printable(tmp_path: Path) -> None:
    inside = tmp_path / ("n" * 150) / ("m" * 150)
    inside.mkdir(parents=True)
    (inside / "edgepack.json").write_text("{}")
    wanted = f"F is no bundle: it has no edgepack.json; give one of the bundles in it: {bare(str(inside), 200)}"
    assert said(inside.parent, refuse_other_folder) == wanted


@pytest.mark.parametrize("content", ["", "{", "[]", '"files"', '["artifacts"]', "3", "null", "[" * 100_000])
def test_a_manifest_that_does_not_read_has_no_keys_and_reading_it_says_so(tmp_path: Path, content: str) -> None:
    (tmp_path / "edgepack.json").write_text(content)
    refuse_build(tmp_path)  # finds nothing to refuse
    for load in (load_manifest, load_build_manifest):
        assert said(tmp_path, load).startswith("F/edgepack.json: the document: ")


def test_files_are_read_up_to_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_module, "MOST_BYTES", 4)
    (tmp_path / "f").write_bytes(b"1234")
    assert read_bounded(tmp_path / "f") == b"1234"
    (tmp_path / "f").write_bytes(b"12345")
    assert said(tmp_path, lambda folder: read_bounded(folder / "f")) == (
        "F/f: is larger than 4 bytes, the most that is read here"
    )
    far = tmp_path / ("n" * 150) / ("m" * 150)
    assert said(far, read_bounded) == f"{bare(str(far), 200)}: cannot be read: No such file or directory"


def test_what_is_no_json_object_is_refused(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 150) / ("m" * 150)
    path.parent.mkdir()
    for content, wrong in (
        (b'{"a": 1, }', "is no JSON (Expecting property name enclosed in double quotes: line 1 column 10 (char 9))"),
        (b'{"\xff": 1}', "is no JSON ('utf-8' codec can't decode byte"),
        (b"[1]", "is no JSON object"),
        (b"null", "is no JSON object"),
        (b"[" * 100_000, "is no JSON (its values are nested too deep)"),
        (b'{"a": {"b": 1, "c": 2, "b": 1}}', "is no JSON (the key 'b' stands twice in one object)"),
        (b'\xef\xbb\xbf{"a": 1}', "is no JSON (it begins with a byte order mark)"),
        (b'{"a": NaN}', "is no JSON (NaN is no JSON)"),
        (b'{"a": -Infinity}', "is no JSON (-Infinity is no JSON)"),
    ):
        path.write_bytes(content)
        message = said(path, read_json)
        assert message.startswith(f"{bare(str(path), 200)}: {wrong}")
        assert message.endswith("; build the bundle again")
    path.write_bytes(b'{"a": 1}')
    assert read_json(path) == {"a": 1}


class Sample(BaseModel):
    number: int = Field(alias="No", default=0)
    day: date = date(2026, 1, 2)
    names: dict[str, int] = Field(default_factory=dict)

    @field_validator("number")
    @classmethod
    def small(cls, number: int) -> int:
        if number > 9:
            raise ValueError("x" * 300)
        return number


def test_a_wrong_document_names_place_and_fault(tmp_path: Path) -> None:
    no_integer = "Input should be a valid integer"
    for data, wrong in (
        (b'{"No": "a", "day": 1}', f"No: {no_integer}"),
        (b'{"names": {"a": 1, "b": "c"}}', f"names.b: {no_integer}"),
        (b'{"No": "3"}', f"No: {no_integer}"),
        (b'{"No": 3.0}', f"No: {no_integer}"),
        (b'{"No": true}', f"No: {no_integer}"),
        (b'{"No": 3, "schema": true}', "schema: is True, no whole number"),
        (b'{"No": 3, "No": 3}', "the key 'No' stands twice in one object"),
        (b"{", "the document: Invalid JSON: EOF while parsing an object at line 1 column 1"),
        (b'{"No": 10}', "No: " + bare("Value error, " + 300 * "x", 200)),
        (b'{"names": {"%s": "c"}}' % (b"k" * 300), bare("names." + 300 * "k") + f": {no_integer}"),
    ):
        with pytest.raises(InputError) as error:
            parse_model(data, Sample, "w" * 300)
        assert str(error.value) == f"{bare('w' * 300, 200)}: {wrong} (schema 1); build the bundle again"
    (tmp_path / "sample.json").write_bytes(b'{"No": 3}')
    assert read_model(tmp_path / "sample.json", Sample).number == 3
    (tmp_path / "sample.json").write_bytes(b"[]")
    assert said(tmp_path, lambda folder: read_model(folder / "sample.json", Sample)).startswith(
        "F/sample.json: the document: "
    )


def test_records_are_written_as_indented_json(tmp_path: Path) -> None:
    sample = Sample.model_validate({"No": 3, "names": {"é": 1}})
    text = '{\n  "No": 3,\n  "day": "2026-01-02",\n  "names": {\n    "é": 1\n  }\n}'
    assert model_text(sample) == text
    write_model(tmp_path / "sample.json", sample)
    assert (tmp_path / "sample.json").read_bytes() == f"{text}\n".encode()


def test_the_runtime_of_a_manifest_is_the_targets() -> None:
    assert runtime_record(ONNX, ("Add", "MatMul")) == RuntimeRecord(
        name="onnxruntime", min_version=ONNX.runtime_min_version, opset=ONNX.opset, ir_version=ONNX.ir_version,
        operators=["Add", "MatMul"],
    )  # fmt: skip
    assert ONNX.opset
    assert ONNX.ir_version
    assert runtime_record(COREML).operators == []


def test_the_artifacts_hash_is_its_files_or_its_folders() -> None:
    assert artifact_sha256(bundle_manifest(files={"README.md": "a", ONNX.file: "b"})) == "b"
    inner = {f"{COREML.file}/Manifest.json": "a", f"{COREML.file}/Data/weight.bin": "b"}
    assert artifact_sha256(bundle_manifest(COREML.name, {"config.json": "c", **inner})) == hash_json(inner)


def test_what_a_model_file_is() -> None:
    assert is_model_file(ONNX.file, ONNX)
    assert is_model_file(f"{COREML.file}/Data/weight.bin", COREML)
    for path in ("config.json", f"{COREML.file}2", f"other/{COREML.file}"):
        assert not is_model_file(path, COREML)


def test_hashes_of_a_model_by_its_path_in_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "any-name").write_bytes(b"abc")
    sha256 = hashlib.sha256(b"abc").hexdigest()
    assert model_hashes(tmp_path / "any-name", ONNX) == {ONNX.file: sha256}
    for name in ("b", "a/c"):
        (tmp_path / "folder" / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / "folder" / name).write_bytes(b"abc")
    found = model_hashes(tmp_path / "folder", COREML)
    assert list(found.items()) == [(f"{COREML.file}/a/c", sha256), (f"{COREML.file}/b", sha256)]


@pytest.mark.parametrize("shipped", [True, False])
def test_the_record_of_a_file(tmp_path: Path, shipped: bool) -> None:
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model").write_bytes(b"abc")
    sha256 = hashlib.sha256(b"abc").hexdigest()
    assert file_record(tmp_path, tmp_path / "onnx" / "model", shipped) == FileRecord(
        path="onnx/model", bytes=3, sha256=sha256, shipped=shipped
    )
