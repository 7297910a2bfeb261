"""The Android app's Kotlin on the JVM: compiled as far as it can be, and a small part of what `make test-apps` runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from edgepack.bundle.write import write_bundle
from edgepack.package.pins import runtime_pin
from edgepack.task.scores import Activation
from tests.apps.device_report import check_report
from tests.apps.kotlin.checks import Checker, resources
from tests.apps.kotlin.toolchain import ROOT, ToolFailed, default_toolchain
from tests.apps.label_sets import write_label_sets
from tests.apps.long_texts import write_windows
from tests.apps.reference import MANIFEST, write_reference, write_words
from tests.apps.scores import write_scores
from tests.apps.unigrams import SOURCES, source_of, write_unigrams
from tests.apps.variants import GPT2, write_byte_pairs, write_variants
from tests.evidence.world import make_world

TEMPLATE = ROOT / "sample_apps" / "android"
COUNT = 250  # strings a tokenizer; `make fuzz-tokenizers` takes 100,000
FEW = 100  # of those with few pieces, over which the library itself takes 20 ms a string

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs_java,
    pytest.mark.skipif(default_toolchain().missing() is not None, reason=str(default_toolchain().missing())),
]


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Checker:
    return Checker(default_toolchain(), TEMPLATE, tmp_path_factory.mktemp("kotlin"))


def test_ids_offsets_and_the_rest_of_core(
    checker: Checker, source: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folders = write_variants(source, tmp_path_factory.mktemp("variants"))
    folders += write_byte_pairs(tmp_path_factory.mktemp("byte-pairs"))
    if GPT2.is_dir():
        names = ["byte-level", "added-prefixed", "modernbert", "nfkc-lower"]
        folders += write_byte_pairs(tmp_path_factory.mktemp("gpt2"), names, GPT2)
    assert len(folders) > 25
    check_core(checker, folders)


@pytest.mark.parametrize("source", SOURCES)
def test_ids_and_offsets_of_unigram_tokenizers(checker: Checker, tmp_path: Path, source: str) -> None:
    folders = write_unigrams(tmp_path, SOURCES[source][1], source_of(source))
    check_core(checker, folders, FEW if source == "few" else COUNT)


def check_core(checker: Checker, folders: list[Path], count: int = COUNT) -> None:
    """All tests of :core pass on these tokenizers, each with fuzzed strings."""
    for folder in folders:
        write_reference(folder, folder / "fuzz.jsonl", count, seed=3)
    write_words(folders[0], count, seed=4)
    (folders[0] / "edgepack.json").write_text(json.dumps(MANIFEST))
    printed = checker.test_core(folders)
    assert printed.count(f"words.jsonl: {count} of {count} lines equal") == 1
    assert printed.count(f"fuzz.jsonl: {count} of {count} lines equal") == len(folders)
    assert re.search(r"decisions.jsonl: (\d{3}) of \1 lines equal$", printed, re.MULTILINE)
    assert re.search(r"entities.jsonl: (\d{3}) of \1 lines equal$", printed, re.MULTILINE)
    assert re.search(r"chains.jsonl: (\d{2}) of \1 lines equal$", printed, re.MULTILINE)
    assert re.search(r"^OK \(\d+ tests\)$", printed, re.MULTILINE)


def test_core_passes_in_a_project_with_a_byte_level_tokenizer(checker: Checker, tmp_path: Path) -> None:
    (folder,) = write_byte_pairs(tmp_path, ["byte-level"])  # whose frame is empty
    write_reference(folder, folder / "fuzz.jsonl", 10, seed=4)
    (folder / "edgepack.json").write_text(json.dumps(MANIFEST))
    assert re.search(r"^OK \(\d+ tests\)$", checker.test_core([folder]), re.MULTILINE)


def test_label_sets_are_pythons(checker: Checker, source: Path, tmp_path: Path) -> None:
    (folder,) = write_variants(source, tmp_path / "variants", ["uncased"])
    write_label_sets(folder, MANIFEST, COUNT, seed=8)
    assert f"{COUNT} label sets equal" in checker.test_core([folder])


@pytest.mark.parametrize("activation", ["identity", "sigmoid"])
def test_scores_are_pythons(checker: Checker, source: Path, tmp_path: Path, activation: Activation) -> None:
    (folder,) = write_variants(source, tmp_path / "variants", ["uncased"])
    write_scores(folder, MANIFEST, COUNT, 8, activation)
    assert f"{COUNT} scores equal" in checker.test_core([folder])


def test_long_texts_in_windows_are_pythons(checker: Checker, source: Path, tmp_path: Path) -> None:
    (folder,) = write_variants(source, tmp_path / "variants", ["uncased"])
    write_windows(folder, folder / "windows.jsonl", COUNT, seed=9)
    (folder / "edgepack.json").write_text(json.dumps(MANIFEST))
    assert f"windows.jsonl: {COUNT} texts in windows equal" in checker.test_core([folder])


def test_a_difference_is_seen(checker: Checker, source: Path, tmp_path: Path) -> None:
    (folder,) = write_variants(source, tmp_path / "variants", ["uncased"])
    (path,) = write_reference(folder, folder / "fuzz.jsonl", 3, seed=2)
    lines = path.read_text().splitlines()
    wrong = json.loads(lines[1])
    wrong["offsets_utf16"][-1] = [0, 1]
    path.write_text("\n".join([lines[0], json.dumps(wrong), lines[2]]))
    (folder / "edgepack.json").write_text(json.dumps(MANIFEST))
    with pytest.raises(ToolFailed, match=r"1 of 3 lines of .* differ"):
        checker.test_core([folder])
    path.write_text("\n".join([lines[0], json.dumps(json.loads(lines[1]) | {"words": [[1, 0, 99]]}), lines[2]]))
    with pytest.raises(ToolFailed, match=r"1 of 3 lines of .* differ"):
        checker.test_core([folder])


@pytest.mark.parametrize("name", ["onnx", "executorch", "pytorch", "litert"])
def test_runtime_modules_compile(checker: Checker, name: str) -> None:
    assert checker.runtime(name).is_file()


@pytest.mark.parametrize(
    ("name", "runtime"),
    [("onnx", "onnxruntime"), ("executorch", "executorch"), ("pytorch", "pytorch-lite"), ("litert", "litert")],
)
def test_a_bundle_for_a_newer_runtime_than_the_app_has_is_refused_on_the_phone(
    checker: Checker, tmp_path: Path, name: str, runtime: str
) -> None:
    path, pin = tmp_path / "edgepack.json", runtime_pin("android", runtime)
    assert pin is not None
    for oldest, fits in (("1.0", True), ("99.0", False)):
        path.write_text(json.dumps(MANIFEST | {"runtime": {"name": runtime, "min_version": oldest}}))
        version, said = checker.runtime_version(name, path)[-2:]
        assert name == "onnx" or version == pin.version  # ONNX Runtime says its own
        assert ("fits" if fits else f" 99.0, this app has {version}; update the app") in said


def test_what_the_app_says_when_a_library_is_missing_and_what_it_keeps(checker: Checker) -> None:
    """The app's tests that need no device: a `LinkageError` is words on the screen; typed texts; pauses."""
    assert "OK (8 tests)" in checker.test_app()


def test_what_measures_on_a_phone_compiles(checker: Checker) -> None:
    assert checker.device_tests().is_file()


def test_the_report_of_the_apps_own_code_passes_the_gate(checker: Checker, tmp_path: Path) -> None:
    """From the code that measures on a phone, here over ONNX Runtime's Java library, to the gate."""
    bundle, path = write_bundle(tmp_path / "bundle", make_world(tmp_path).contents()).folder, tmp_path / "report.json"
    checker.test_onnx([bundle], path)
    check_report(bundle, path)


def test_rules_of_compose_and_names_of_resources_are_checked(checker: Checker, tmp_path: Path) -> None:
    composable = "import androidx.compose.runtime.Composable\n@Composable fun a() {}\n"
    bad = tmp_path / "Bad.kt"
    bad.write_text(f"package x\n{composable}fun b() {{ a() }}\n")
    with pytest.raises(ToolFailed, match="@Composable invocations can only happen"):
        checker.check_compose([bad])
    (tmp_path / "R.kt").write_text(resources(TEMPLATE / "app/src/main/res"))
    bad.write_text("package dev.edgepack.app\nval x = R.string.text_label + R.string.no_such_text\n")
    with pytest.raises(ToolFailed, match=r"nresolved reference 'no_such_text'"):
        checker.check_compose([bad, tmp_path / "R.kt"])
