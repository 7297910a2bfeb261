"""The iOS app's Swift where there is a toolchain: EdgepackCore's tests, the app's files; both checks see a fault."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from edgepack.bundle.write import write_bundle
from edgepack.package.template import checkout
from tests.apps.device_report import check_report
from tests.apps.label_sets import write_label_sets
from tests.apps.long_texts import write_windows
from tests.apps.reference import write_reference, write_words
from tests.apps.scores import write_scores
from tests.apps.swift import checks
from tests.apps.unigrams import ALBERT, T5, write_unigrams
from tests.apps.variants import GPT2, write_byte_pairs, write_variants
from tests.evidence.world import make_world

COUNT, FEWER = 250, 100  # strings a tokenizer; `make fuzz-tokenizers` takes 100,000
FILES = [{"path": path, "bytes": 1, "sha256": "0" * 64, "shipped": True} for path in ("m.onnx", "tokenizer.bin")]
MANIFEST = {
    "schema": 1,
    "task": "text-classification",
    "pair": False,
    "max_length": 64,
    "padding": {"id": 0},
    "inputs": [{"name": "input_ids", "shape": ["batch", "seq"]}],
    "outputs": [{"name": "logits", "shape": ["batch", 5]}],
    "target": "ios-onnx",
    "runtime": {"name": "onnxruntime"},
    "files": FILES,
    "shipped_bytes": 2,
    "metrics": {},
}

pytestmark = [pytest.mark.slow, pytest.mark.needs_swift, pytest.mark.usefixtures("swift_toolchain")]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Swift builds, once for all tests."""
    return tmp_path_factory.mktemp("swift")


def test_the_core_and_its_comparison_with_the_reference(source: Path, scratch: Path, tmp_path: Path) -> None:
    folders = write_variants(source, tmp_path / "variants", ["uncased", "cased", "late", "late-cased"])
    folders += write_byte_pairs(tmp_path / "byte-pairs")
    if GPT2.is_dir():
        folders += write_byte_pairs(tmp_path / "gpt2", ["byte-level", "added-prefixed"], GPT2)
    for folder in folders:
        write_reference(folder, folder / "fuzz.jsonl", COUNT, seed=3)
    write_words(folders[4], COUNT, seed=4)  # of Unigram tokenizers
    unigrams = write_unigrams(tmp_path / "unigrams")
    if T5.is_dir():
        unigrams += write_unigrams(tmp_path / "t5", ["t5", "late"], T5)
        unigrams += write_unigrams(tmp_path / "albert", ["albert", "deberta-v2"], ALBERT)
    for folder in unigrams:
        write_reference(folder, folder / "fuzz.jsonl", FEWER, seed=3)
    (sets,) = write_variants(source, tmp_path / "sets", ["uncased"])
    write_label_sets(sets, MANIFEST, FEWER, seed=8)
    (scores,) = write_variants(source, tmp_path / "scores", ["uncased"])
    write_scores(scores, MANIFEST, FEWER, 8, "sigmoid")
    write_windows(folders[0], folders[0] / "windows.jsonl", FEWER, seed=9)
    out = checks.run_core_tests(scratch, [*folders, *unigrams, sets, scores])
    assert f"compared {FEWER} scores of" in out
    assert f"compared {FEWER} texts in windows of" in out
    assert f"compared {FEWER} label sets of" in out
    assert "compared 120 decisions" in out
    assert re.search(r"compared \d{3} lines of tags", out)
    assert re.search(r"compared \d{2} chains", out)
    assert out.count(f"compared {COUNT} lines") == len(folders) + 1 >= 20
    assert out.count(f"compared {FEWER} lines") == len(unigrams) + 3 >= 14


@pytest.mark.parametrize(("key", "value"), [("offsets_utf16", [0, 1]), ("words", [0, 0, 1])])
def test_the_comparison_sees_a_difference(
    source: Path, scratch: Path, tmp_path: Path, key: str, value: list[int]
) -> None:
    (folder,) = write_variants(source, tmp_path / "variants", ["uncased"])
    (path,) = write_reference(folder, folder / "fuzz.jsonl", 3, seed=2)
    lines = path.read_text().splitlines()
    wrong = json.loads(lines[1])
    wrong[key][-1] = value
    path.write_text("\n".join([lines[0], json.dumps(wrong), lines[2]]))
    with pytest.raises(AssertionError, match=r"fuzz\.jsonl: 1 differ"):
        checks.run_core_tests(scratch, [folder])


def test_the_report_of_the_apps_own_code_passes_the_gate(scratch: Path, tmp_path: Path) -> None:
    """From the code that measures on a phone, here over the goldens' own answers, to the gate."""
    bundle, path = write_bundle(tmp_path / "bundle", make_world(tmp_path).contents()).folder, tmp_path / "report.json"
    assert "with 0 failures" in checks.run_core_tests(scratch, only="DeviceBenchmarkTests", report=(bundle, path))
    check_report(bundle, path)


def test_the_apps_files_agree_with_the_core_and_the_stubs(scratch: Path, tmp_path: Path) -> None:
    assert checks.check_app(scratch / "stubs", checkout() / "ios") == ""
    assert checks.called(scratch / "stubs", ["CoreAIRuntime", "CoreAIDelegates"]) == checks.documented()
    broken = shutil.copytree(checkout() / "ios", tmp_path / "ios")
    for name, text, other in (
        ("ResultView", "entity.probability", "entity.likelihood"),
        ("ContentView", "let retry: @MainActor ()", "let retry: ()"),
        ("Inference", "let vectors = files.storage", "var vectors = files.storage"),
    ):
        change(broken / "Sample" / f"{name}.swift", text, other)
    with pytest.raises(AssertionError) as failed:
        checks.check_app(tmp_path / "stubs", broken)
    for diagnostic in ("has no member 'likelihood'", "may introduce data races", "'vectors' was never mutated"):
        assert diagnostic in str(failed.value)


def test_a_warning_in_the_core_is_an_error(tmp_path: Path) -> None:
    core = shutil.copytree(checkout() / "ios", tmp_path / "ios") / "EdgepackCore" / "Sources" / "EdgepackCore"
    change(core / "KeptVectors.swift", "final class KeptVectors: @unchecked Sendable", "final class KeptVectors")
    with pytest.raises(AssertionError, match="non-sendable type 'KeptVectors"):
        checks.check_app(tmp_path / "stubs", tmp_path / "ios")


def change(path: Path, text: str, other: str) -> None:
    """Put another text into a file that has it once."""
    found = path.read_text()
    assert found.count(text) == 1
    path.write_text(found.replace(text, other))
