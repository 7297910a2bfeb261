"""The apps' cores as libraries: each README's example, as another project's program, answers a bundle's golden."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack import __version__
from edgepack.bundle.goldens import GOLDEN_NAME
from edgepack.bundle.manifest import load_manifest
from edgepack.bundle.write import write_bundle
from edgepack.package.template import checkout
from edgepack.task.probabilities import softmax
from tests.apps.kotlin.checks import Checker
from tests.apps.kotlin.toolchain import default_toolchain
from tests.apps.swift.checks import run
from tests.evidence.world import TARGET, make_world

APPS = Path(__file__).parents[1] / "apps"
LICENSE = Path(__file__).parents[2] / "LICENSE"
WEB = checkout() / "web" / "core"
ANDROID = checkout() / "android" / "core"
IOS = checkout() / "ios" / "EdgepackCore"
LIBRARIES = [WEB, ANDROID, IOS]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX bundle of a classifier."""
    folder = tmp_path_factory.mktemp("libraries")
    written = write_bundle(folder / "bundles" / TARGET.name, make_world(folder).contents())
    assert written.passed, written.verdict.checks
    return written.folder


def example(library: Path, language: str) -> str:
    """The program in a library's README."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", (library / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(found.splitlines()) <= 15
    return found


def hardest(bundle: Path) -> dict[str, Any]:
    """The golden with the most letters outside ASCII, of those that a command line takes."""
    lines = [json.loads(line) for line in (bundle / GOLDEN_NAME).read_text(encoding="utf-8").splitlines()]
    return max((line for line in lines if line["text"].isprintable()), key=lambda line: len(line["text"].encode()))


def check_answer(printed: str, bundle: Path) -> None:
    """A program printed the golden's label and its probability."""
    label, probability = printed.split()
    manifest, golden = load_manifest(bundle), hardest(bundle)
    expected = softmax(np.array(golden["logits"], np.float32)[None] / (manifest.temperature or 1))[0]
    assert label == golden["label"] == manifest.labels[expected.argmax()]
    assert float(probability) == pytest.approx(expected.max(), abs=1e-5)


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.parent.name)
def test_version_and_licence_are_the_projects(library: Path) -> None:
    assert f"\n\nVersion {__version__}. " in (library / "README.md").read_text(encoding="utf-8")
    assert (library / "LICENSE").read_bytes() == LICENSE.read_bytes()


@pytest.mark.slow
@pytest.mark.needs_node
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not on the path")
def test_the_npm_package(bundle: Path, tmp_path: Path) -> None:
    run(["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", str(tmp_path), str(WEB)])
    archive = tmp_path / f"edgepack-core-{__version__}.tgz"
    package = json.loads((WEB / "package.json").read_text())
    assert (package["name"], package["version"], package["license"]) == ("@edgepack/core", __version__, "Apache-2.0")
    with tarfile.open(archive) as tar:
        assert set(tar.getnames()) == {f"package/{path.name}" for path in WEB.iterdir()}
    consumer = tmp_path / "consumer"
    consumer.mkdir()
    (consumer / "package.json").write_text('{"type": "module"}')
    options = ["--offline", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    run(["npm", "install", "--prefix", str(consumer), *options, str(archive)])
    (consumer / "main.js").write_text(example(WEB, "js"))
    shutil.copyfile(APPS / "javascript" / "library_model.mjs", consumer / "model.js")
    check_answer(run(["node", str(consumer / "main.js"), str(bundle), hardest(bundle)["text"]]), bundle)


def test_what_maven_is_told() -> None:
    script = (ANDROID / "build.gradle.kts").read_text()
    for line in ('group = "dev.edgepack"', f'version = "{__version__}"', "withSourcesJar()", 'name = "Apache-2.0"'):
        assert script.count(f"{line}\n") == 1
    needed = re.findall(r"^    (?:api|implementation|compileOnly|runtimeOnly)\(", script, re.MULTILINE)
    assert needed == []  # the example is compiled with the standard library alone
    assert f'implementation("dev.edgepack:core:{__version__}")' in (ANDROID / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.needs_java
@pytest.mark.skipif(default_toolchain().missing() is not None, reason=str(default_toolchain().missing()))
def test_the_kotlin_library(bundle: Path, tmp_path: Path) -> None:
    tools = default_toolchain()
    core = Checker(tools, checkout() / "android", tmp_path).core()
    consumer = shutil.copytree(APPS / "kotlin" / "library", tmp_path / "consumer")
    (consumer / "Main.kt").write_text(example(ANDROID, "kotlin"))
    program = tools.compile([consumer], tmp_path / "consumer.jar", [core])
    printed = tools.program("MainKt", [program, core], [str(bundle), hardest(bundle)["text"]])
    check_answer(printed, bundle)


@pytest.fixture(scope="module")
def swift_project(swift_toolchain: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package that depends on EdgepackCore, built without a diagnostic."""
    folder = shutil.copytree(APPS / "swift" / "library", tmp_path_factory.mktemp("swift") / "library")
    (folder / "EdgepackCore").symlink_to(IOS)
    main = example(IOS, "swift").replace("import Foundation\n", "import Foundation\nimport Runtime\n")
    (folder / "Sources" / "Example").mkdir()
    (folder / "Sources" / "Example" / "main.swift").write_text(main)
    for name in ("ScreenModel", "Inference", "Settings", "Words"):
        shutil.copy(IOS.parent / "Sample" / f"{name}.swift", folder / "Sources" / "Screen")
    out = run(["swift", "build", "--package-path", str(folder), "-Xswiftc", "-warnings-as-errors"])
    assert not re.search(r"\b(warning|error):", out), out
    return folder


def run_swift(project: Path, name: str, *arguments: str, home: Path) -> list[str]:
    """The lines that a program of a built package prints."""
    options = ["--skip-build", "--package-path", str(project), "-Xswiftc", "-warnings-as-errors"]
    return run(["swift", "run", *options, name, *arguments], HOME=str(home), TMPDIR=str(home)).splitlines()


@pytest.mark.slow
@pytest.mark.needs_swift
def test_the_swift_package(bundle: Path, swift_project: Path, tmp_path: Path) -> None:
    printed = run_swift(swift_project, "Example", str(bundle), hardest(bundle)["text"], home=tmp_path)
    check_answer(printed[-1], bundle)
    assert "made on the main thread: true" in printed  # this thread can be told from others
    assert printed.count("run on the main thread: false") == 2  # warmed up, then run


@pytest.mark.slow
@pytest.mark.needs_swift
def test_the_ios_app_runs_the_model_off_the_main_thread(bundle: Path, swift_project: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, swift_project / ".build" / "debug" / "assets")
    *runs, said, answer = run_swift(swift_project, "Screen", hardest(bundle)["text"], home=tmp_path)
    assert [line for line in runs if line.startswith("run on")] == 3 * [
        "run on the main thread: false"
    ]  # the first warms up
    assert "several texts at once" not in runs
    assert re.fullmatch(rf"announced once: {answer.split()[0]}, \d+\.\d\s?%", said)  # not the text that was typed over
    check_answer(answer, bundle)
