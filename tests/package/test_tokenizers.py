"""Bundles of RoBERTa's and XLM-R's kind become each of the three apps, whose own cores give the goldens' ids."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edgepack.bundle.goldens import GOLDEN_NAME
from edgepack.bundle.write import write_bundle
from edgepack.package import AppOptions, package_bundle
from edgepack.package.android import ASSETS, GOLDENS
from edgepack.package.template import checkout
from edgepack.tokenizer.asset import ASSET_NAME, VERSION
from tests.apps.kotlin.checks import Checker
from tests.apps.kotlin.toolchain import default_toolchain
from tests.apps.swift import checks as swift
from tests.evidence.world import MAX_LENGTH, TARGET, make_world
from tests.teacher.tokenizers import TOKENIZERS

COMPARE = Path(__file__).parents[1] / "apps" / "javascript" / "compare.mjs"


KINDS = ("byte-level BPE", "Unigram")


@pytest.fixture(scope="module", params=KINDS)
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX bundle without token types."""
    folder = tmp_path_factory.mktemp("tokenizers")
    contents = make_world(folder, TOKENIZERS[request.param](), type_vocab_size=0).contents()
    written = write_bundle(folder / "bundles" / TARGET.name, contents)
    assert written.passed, written.verdict.checks
    assert (written.folder / ASSET_NAME).read_bytes()[4] == VERSION
    assert [tensor.name for tensor in written.manifest.inputs] == ["input_ids", "attention_mask"]
    return written.folder


def goldens(bundle: Path) -> int:
    """How many there are."""
    return len((bundle / GOLDEN_NAME).read_text().splitlines())


@pytest.mark.needs_node
@pytest.mark.skipif(shutil.which("node") is None, reason="node is not on the path")
def test_the_web_apps_core(bundle: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    package_bundle(bundle, "web", site, AppOptions())
    done = subprocess.run(
        ["node", COMPARE, site / "model" / ASSET_NAME, str(MAX_LENGTH), bundle / GOLDEN_NAME],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CORE": str(site / "core")},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert (result["lines"], result["different"]) == (goldens(bundle), 0)


@pytest.mark.slow
@pytest.mark.needs_java
@pytest.mark.skipif(default_toolchain().missing() is not None, reason=str(default_toolchain().missing()))
def test_the_android_apps_core_and_its_model(bundle: Path, tmp_path: Path) -> None:
    project, count = tmp_path / "app", goldens(bundle)
    package_bundle(bundle, "android", project, AppOptions())
    (tmp_path / "work").mkdir()
    checker = Checker(default_toolchain(), project, tmp_path / "work")
    printed = checker.test_core([project / GOLDENS])
    assert f"{count} of {count} lines equal" in printed
    assert re.search(r"^OK \(\d+ tests\)$", printed, re.MULTILINE)
    assert f": {count} run, {count} with the same labels" in checker.test_onnx([project / ASSETS])


@pytest.mark.slow
@pytest.mark.needs_swift
@pytest.mark.usefixtures("swift_toolchain")
def test_the_ios_apps_core(bundle: Path, tmp_path: Path) -> None:
    project, core = tmp_path / "app", "EdgepackCore/Sources"
    package_bundle(bundle, "ios", project, AppOptions())
    assert (project / "assets" / ASSET_NAME).read_bytes() == (bundle / ASSET_NAME).read_bytes()
    assert contents(project / core) == contents(checkout() / "ios" / core)  # which is built once for all bundles
    printed = swift.run_core_tests(tmp_path / "build", [bundle])
    assert f"compared {goldens(bundle)} lines of {bundle.name}/{GOLDEN_NAME}: 0 differ" in printed


def contents(folder: Path) -> dict[Path, bytes]:
    """The files of a folder."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
