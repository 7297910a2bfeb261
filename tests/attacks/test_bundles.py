"""Bundles whose files are larger than an honest one's, with records to match: a failed check, in bounds."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from edgepack.bundle.write import write_bundle
from tests.attacks.run import attack
from tests.evidence.planted import EVERYWHERE, NOT, Fault, Plant
from tests.evidence.world import TARGET, make_world

LISTS = 15_000_000  # empty ones, of three bytes each


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    contents = make_world(tmp_path_factory.mktemp("world")).contents()
    return write_bundle(tmp_path_factory.mktemp("out") / TARGET.name, contents).folder


def many_lists(name: str) -> Plant:
    """A key that no reader knows, in the last object of a file."""

    def plant(bundle: Path) -> None:
        document, lists = (bundle / name).read_text().rstrip()[:-1], ",".join(["[]"] * LISTS)
        (bundle / name).write_text(f'{document}, "more": [{lists}]}}\n')

    return plant


def grown(name: str, size: int) -> Plant:
    """More bytes, which take no place on the disk."""
    return lambda bundle: os.truncate(bundle / name, size)


def many_lines(bundle: Path) -> None:
    with (bundle / "README.md").open("a") as file:
        file.write("- Shipped: x\n" * 1_000_000)


def recorded_as(name: str, size: int) -> Plant:
    """A size in the manifest that the file has, without a hash: nobody waits for one of so many bytes."""

    def plant(bundle: Path) -> None:
        grown(name, size)(bundle)
        manifest = json.loads((bundle / "edgepack.json").read_text())
        next(entry for entry in manifest["files"] if entry["path"] == name)["bytes"] = size
        (bundle / "edgepack.json").write_text(json.dumps(manifest))

    return plant


ATTACKS: dict[str, tuple[Plant, str, str]] = {  # what is planted, how records are mended, what is said
    "manifest": (many_lists("edgepack.json"), NOT, "values; at most 4,000,000 are read"),
    "verdict": (many_lists("verdict.json"), EVERYWHERE, "verdict.json: it holds about"),
    "config": (many_lists("config.json"), EVERYWHERE, "config.json: is no JSON (it holds about"),
    "tokenizer": (many_lists("tokenizer_config.json"), EVERYWHERE, "tokenizer_config.json: is no JSON (it holds about"),
    "goldens": (many_lists("golden.jsonl"), EVERYWHERE, "golden.jsonl: it holds about"),
    "card": (many_lines, EVERYWHERE, "README.md: is larger than 4,000,000 bytes"),
    "large card": (recorded_as("README.md", 1 << 33), NOT, "has 8,589,934,592 bytes; at most 64,000,000 are read"),
    "large model": (recorded_as(TARGET.file, 1 << 35), NOT, "has 34,359,738,368 bytes; at most 1,073,741,824 are read"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_bundle_of_large_files_is_refused(name: str, healthy: Path, tmp_path: Path) -> None:
    plant, mend, said = ATTACKS[name]
    bundle = shutil.copytree(healthy, tmp_path / "bundle")
    Fault("large files", name, plant, mend, "").into(bundle)
    outcome = attack("gate", str(bundle), codes=(1,))
    assert said in outcome.stdout
