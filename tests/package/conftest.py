"""A bundle as packaging sees it: a manifest and files of a few bytes. No model runs here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from edgepack.bundle.manifest import (
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
from edgepack.bundle.verdict import Check, Verdict
from edgepack.target import load_target

SHIPPED = {"onnx/model_quantized.onnx": b"model", "tokenizer.bin": b"words"}
BESIDE = {"golden.jsonl": b"{}\n", "README.md": b"# card"}
METRIC = MetricRecord(name="accuracy", value=0.9, n=10, low=0.8, high=1.0)


def write_manifest(
    folder: Path,
    records: Sequence[FileRecord],
    target: str = "android-onnx",
    task: str = "text-classification",
    labels: Sequence[str] = ("no", "yes"),
) -> BundleManifest:
    """A manifest of these files."""
    manifest = BundleManifest(
        task=task,
        labels=list(labels),
        max_length=64,
        padding=PaddingRecord(),
        inputs=[TensorRecord(name="input_ids", dtype="int64", shape=["batch", "seq"])],
        outputs=[TensorRecord(name="logits", dtype="float32", shape=["batch", len(labels)])],
        target=target,
        runtime=runtime_record(load_target(target)),
        files=list(records),
        shipped_bytes=sum(record.bytes for record in records if record.shipped),
        budget_bytes=100,
        metrics={"teacher": METRIC, "artifact": METRIC},
        teacher=TeacherRecord(name="t", sha256="0" * 64),
        edgepack_version="0.1.0",
        created="2026-11-23T00:00:00Z",
    )
    write_model(folder / "edgepack.json", manifest)
    return manifest


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Writes a bundle folder: shipped files by name, a verdict, the rest as `write_manifest` takes it."""

    def make(
        shipped: dict[str, bytes] = SHIPPED,
        passed: bool = True,
        at: str = "bundle",
        **manifest: str | Sequence[str],
    ) -> Path:
        folder = tmp_path / at
        check = Check(name="accuracy", status="passed" if passed else "failed")
        verdict = Verdict(
            target=str(manifest.get("target", "android-onnx")),
            passed=passed,
            checks=[check],
            metrics={"artifact": METRIC},
            shipped_bytes=10,
            budget_bytes=100,
        )
        for name, data in {**shipped, **BESIDE}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        write_model(folder / "verdict.json", verdict)
        names = [*shipped, *BESIDE, "verdict.json"]
        write_manifest(folder, [file_record(folder, folder / name, name in shipped) for name in names], **manifest)
        return folder

    return make


@pytest.fixture
def bundle(make_bundle: Callable[..., Path]) -> Path:
    """An ONNX bundle of a classifier."""
    return make_bundle()
