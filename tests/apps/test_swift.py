"""The iOS app's Swift where there is a toolchain: EdgepackCore's tests, the app's files; both checks see a fault."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edgepack.package.template import checkout
from tests.apps.reference import write_reference
from tests.apps.swift import checks
from tests.apps.variants import GPT2, write_byte_pairs, write_variants

COUNT = 2000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs_swift,
    pytest.mark.skipif(checks.missing() is not None, reason=str(checks.missing())),
]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Swift builds, once for all tests."""
    return tmp_path_factory.mktemp("swift")


def test_the_core_and_its_comparison_with_the_reference(source: Path, scratch: Path, tmp_path: Path) -> None:
    folders = write_variants(source, tmp_path / "variants", ["uncased", "cased"])
    folders += write_byte_pairs(tmp_path / "byte-pairs")
    if GPT2.is_dir():
        folders += write_byte_pairs(tmp_path / "gpt2", ["byte-level", "added-prefixed"], GPT2)
    for folder in folders:
        write_reference(folder, folder / "fuzz.jsonl", COUNT, seed=3)
    out = checks.run_core_tests(scratch, folders)
    assert out.count(f"compared {COUNT} lines") == len(folders) >= 15


def test_the_comparison_sees_a_difference(source: Path, scratch: Path, tmp_path: Path) -> None:
    (folder,) = write_variants(source, tmp_path / "variants", ["uncased"])
    (path,) = write_reference(folder, folder / "fuzz.jsonl", 3, seed=2)
    lines = path.read_text().splitlines()
    wrong = json.loads(lines[1])
    wrong["offsets_utf16"][-1] = [0, 1]
    path.write_text("\n".join([lines[0], json.dumps(wrong), lines[2]]))
    with pytest.raises(AssertionError, match=r"fuzz\.jsonl: 1 differ"):
        checks.run_core_tests(scratch, [folder])


def test_the_apps_files_agree_with_the_core_and_the_stubs(scratch: Path, tmp_path: Path) -> None:
    assert "error" not in checks.check_app(scratch / "stubs", checkout() / "ios")
    broken = tmp_path / "ios"
    shutil.copytree(checkout() / "ios", broken)
    screen = broken / "Sample" / "ResultView.swift"
    screen.write_text(screen.read_text().replace("entity.probability", "entity.likelihood"))
    with pytest.raises(AssertionError, match="has no member 'likelihood'"):
        checks.check_app(tmp_path / "stubs", broken)
