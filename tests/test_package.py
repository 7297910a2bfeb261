"""Packaging: what an app ships, checked against the manifest, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgepack.errors import CheckFailed, InputError
from edgepack.manifest import (
    BundleManifest,
    FileRecord,
    MetricRecord,
    PaddingRecord,
    TeacherRecord,
    TensorRecord,
    file_record,
    runtime_record,
    write_model,
)
from edgepack.package import package_bundle
from edgepack.target import load_target

SHIPPED = {"onnx/model_quantized.onnx": b"model", "tokenizer.bin": b"words"}
BESIDE = {"golden.jsonl": b"{}\n", "verdict.json": b"{}", "README.md": b"# card"}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    records = []
    for name, data in {**SHIPPED, **BESIDE}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        records.append(file_record(folder, path, name in SHIPPED))
    write_manifest(folder, records)
    return folder


def write_manifest(folder: Path, records: list[FileRecord]) -> None:
    metric = MetricRecord(name="accuracy", value=0.9, n=10, low=0.8, high=1.0)
    manifest = BundleManifest(
        task="text-classification",
        labels=["no", "yes"],
        max_length=64,
        padding=PaddingRecord(),
        inputs=[TensorRecord(name="input_ids", dtype="int64", shape=["batch", "seq"])],
        outputs=[TensorRecord(name="logits", dtype="float32", shape=["batch", 2])],
        target="android-onnx",
        runtime=runtime_record(load_target("android-onnx")),
        files=records,
        shipped_bytes=10,
        budget_bytes=100,
        metrics={"teacher": metric, "artifact": metric},
        teacher=TeacherRecord(name="t", sha256="0" * 64),
        edgepack_version="0.1.0",
        created="2026-11-23T00:00:00Z",
    )
    write_model(folder / "edgepack.json", manifest)


@pytest.mark.parametrize("app", ["android", "ios", "web"])
def test_the_assets_are_what_is_shipped_the_manifest_and_the_goldens(bundle: Path, tmp_path: Path, app: str) -> None:
    packaged = package_bundle(bundle, app, tmp_path / "app")
    names = {"README.md", *(f"assets/{name}" for name in [*SHIPPED, "edgepack.json", "golden.jsonl"])}
    assert set(packaged.files) == names
    for name, data in SHIPPED.items():
        assert (tmp_path / "app" / "assets" / name).read_bytes() == data
    page = (tmp_path / "app" / "README.md").read_text()
    assert "`onnx/model_quantized.onnx`" in page
    assert "`tokenizer.bin`" in page
    assert "{" not in page
    assert json.loads((tmp_path / "app" / "assets" / "edgepack.json").read_text())["target"] == "android-onnx"


@pytest.mark.parametrize("name", ["tokenizer.bin", "golden.jsonl"])
def test_a_file_that_is_not_the_manifests_is_a_failed_check_and_leaves_nothing(
    bundle: Path, tmp_path: Path, name: str
) -> None:
    data = (bundle / name).read_bytes()
    (bundle / name).write_bytes(data[:-1] + b"!")
    with pytest.raises(CheckFailed, match=f"{name} is not the manifest's file"):
        package_bundle(bundle, "android", tmp_path / "app")
    (bundle / name).unlink()
    with pytest.raises(CheckFailed, match=f"{name} is missing"):
        package_bundle(bundle, "android", tmp_path / "app")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize("path", ["../secret", "/etc/hostname"])
def test_a_manifest_cannot_reach_outside_its_bundle(bundle: Path, tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_bytes(b"model")
    write_manifest(bundle, [FileRecord(path=path, bytes=5, sha256="0" * 64, shipped=True)])
    with pytest.raises(CheckFailed, match="outside the bundle"):
        package_bundle(bundle, "android", tmp_path / "app")


def test_a_folder_in_use_is_kept_unless_forced(bundle: Path, tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (app / "mine").write_text("x")
    with pytest.raises(InputError, match="is not empty"):
        package_bundle(bundle, "android", app)
    assert (app / "mine").exists()
    package_bundle(bundle, "android", app, force=True)
    assert not (app / "mine").exists()
    assert (app / "assets" / "tokenizer.bin").exists()


def test_what_cannot_be_packaged_is_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="allowed: android, ios, web"):
        package_bundle(bundle, "toaster", tmp_path / "app")
    with pytest.raises(InputError, match="is no bundle"):
        package_bundle(tmp_path, "web", tmp_path / "app")
    with pytest.raises(InputError, match="is a file"):
        package_bundle(bundle, "web", bundle / "tokenizer.bin")
