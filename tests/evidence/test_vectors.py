"""Bundles that embed texts are validated and pass the gate on each runtime that is here; planted faults do not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

import click
import pytest

from edgepack.bundle.manifest import load_manifest
from edgepack.bundle.write import Bundle
from edgepack.cli.release import package
from edgepack.errors import InputError, MissingDependency
from edgepack.evidence.gate import gate
from edgepack.package import package_app
from edgepack.package.project import VECTOR_FORMS
from edgepack.target import load_target
from tests.evidence.planted import Fault
from tests.evidence.test_planted_faults import check_caught
from tests.evidence.vector_faults import VECTOR_FAULTS
from tests.evidence.vector_world import write_vector_bundle

RUNTIMES = ("android-onnx", "android-torchscript", "android-executorch", "android-litert", "ios-coreml", "ios-coreai")
POOLED = (("mean", 0), ("first", 12), ("last", 12))
IN_NODE = ("web-onnx", "mean", 0)  # one: each text is a line to Node, and tests/runtime has the others


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Path]:
    return write_vector_bundle(tmp_path_factory.mktemp("vectors"))


@pytest.mark.parametrize("fault", VECTOR_FAULTS, ids=lambda fault: fault.name)
def test_a_fault_of_vectors_is_caught(bundle: tuple[Bundle, Path], tmp_path: Path, fault: Fault) -> None:
    shutil.copytree(bundle[0].folder, tmp_path / "bundle")
    check_caught(tmp_path / "bundle", fault)


@pytest.mark.parametrize(
    ("name", "pooling", "vector_size"), [*((name, *each) for name in RUNTIMES for each in POOLED), IN_NODE]
)
def test_every_runtime_gives_the_students_vectors(
    tmp_path: Path, require: object, name: str, pooling: str, vector_size: int
) -> None:
    """Parity, goldens, and padded batches, which are checks of verdict and gate."""
    try:
        made, data = write_vector_bundle(tmp_path, load_target(name), pooling, vector_size)
    except MissingDependency as e:
        require(name, str(e))  # type: ignore[operator]
        return
    ran = "artifact" in made.verdict.metrics
    assert ran or name == "ios-coreml"
    found = gate([made.folder], evaluation=str(data))
    failed = {check.name: check.reason for check in found.bundles[0].checks if check.status == "failed"}
    assert not failed
    assert found.passed == ran


@pytest.mark.parametrize(
    ("app", "place", "line"),
    [
        ("android", "app/src/main/res/values/app.xml", 'name="vector_form" translatable="false">{}<'),
        ("ios", "Sample/Settings.swift", "static let vectorForm = VectorForm.{}\n"),
        ("web", "config.js", 'export const VECTOR_FORM = "{}";'),
    ],
)
def test_vectors_are_kept_as_the_user_says(
    bundle: tuple[Bundle, Path], tmp_path: Path, app: Literal["android", "ios", "web"], place: str, line: str
) -> None:
    for form in VECTOR_FORMS:
        package_app(bundle[0].folder, app=app, output=tmp_path / form, vectors=form)
        assert line.format(form) in (tmp_path / form / place).read_text()
    with pytest.raises(InputError, match=r"vectors is 'float16'; allowed: float32, int8, binary"):
        package_app(bundle[0].folder, app=app, output=tmp_path / "app", vectors="float16")
    option = next(each for each in package.params if each.name == "vectors")
    assert isinstance(option.type, click.Choice)
    assert tuple(option.type.choices) == VECTOR_FORMS


@pytest.mark.parametrize(
    ("app", "searches"),
    [
        ("android", "core/src/main/kotlin/dev/edgepack/core/KeptVectors.kt"),
        ("ios", "EdgepackCore/Sources/EdgepackCore/KeptVectors.swift"),
        ("web", "core/search.js"),
    ],
)
def test_every_app_takes_them(bundle: tuple[Bundle, Path], tmp_path: Path, app: str, searches: str) -> None:
    packaged = package_app(bundle[0].folder, app=app, output=tmp_path / "app")
    assert searches in packaged.files
    assert any(file.endswith("model_quantized.onnx") for file in packaged.files)
    size = load_manifest(bundle[0].folder).vector.size  # type: ignore[union-attr]
    assert f"feature-extraction, vectors of {size} numbers" in (tmp_path / "app" / "README.md").read_text()
