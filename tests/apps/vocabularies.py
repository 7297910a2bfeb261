"""Compares every tokenizer core with the reference on real vocabularies: `make fuzz-tokenizers`.

    python -m tests.apps.vocabularies FOLDER... [--count 100000] [--seed 0] [--require]

A folder has a tokenizer.json of WordPiece, vocab.json and merges.txt of byte-level BPE, or a spiece.model of Unigram
pieces. Of each, tokenizers of every option are written (variants.py, unigrams.py), each with its share of the fuzzed
strings and the reference's answers (reference.py), and the readers in Python, JavaScript, Kotlin and Swift answer the
same strings: ids, type ids, offsets and words. Ends with 1 where one of them differs, or with `--require` where a tool
is missing.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from edgepack.bundle.manifest import MANIFEST_NAME
from edgepack.package.template import checkout
from edgepack.tokenizer.asset import ASSET_NAME
from edgepack.tokenizer.reader import read_tokenizer_asset
from tests.apps.__main__ import HERE, missing_tool, run
from tests.apps.kotlin.checks import Checker
from tests.apps.kotlin.toolchain import ToolFailed, default_toolchain
from tests.apps.reference import DEFAULT_MAX_LENGTH, MANIFEST, answer_line, write_reference
from tests.apps.swift import checks as swift
from tests.apps.unigrams import write_unigrams
from tests.apps.variants import write_byte_pairs, write_variants

LINES = "fuzz.jsonl"


def write_tokenizers(vocabulary: Path, folder: Path) -> list[Path]:
    """Tokenizers of every option with this vocabulary, a folder each."""
    if (vocabulary / "spiece.model").is_file():
        return write_unigrams(folder, source=vocabulary)
    if (vocabulary / "merges.txt").is_file():
        return write_byte_pairs(folder, source=vocabulary)
    return write_variants(vocabulary, folder)


def different_in_python(folder: Path) -> int:
    """How many lines of a folder the Python reader answers otherwise than the reference."""
    reader = read_tokenizer_asset((folder / ASSET_NAME).read_bytes())
    with (folder / LINES).open(encoding="ascii") as file:
        return sum(answer_line(reader, line) != line for line in map(json.loads, file))


def check_python(folders: list[Path], _: Path) -> str:
    """The reader in Python."""
    different = sum(map(different_in_python, folders))
    return "equal" if not different else f"{different} differ"


def check_javascript(folders: list[Path], _: Path) -> str:
    """The web app's core in Node; ends the program at the first tokenizer that differs."""
    for folder in folders:
        compare = HERE / "javascript" / "compare.mjs"
        run(["node", compare, folder / ASSET_NAME, str(DEFAULT_MAX_LENGTH), folder / LINES])
    return "equal"


def check_kotlin(folders: list[Path], work: Path) -> str:
    """The Android app's core on the JVM."""
    work.mkdir(exist_ok=True)
    printed = Checker(default_toolchain(), checkout() / "android", work).test_core(folders)
    compared = sum(int(a) == int(b) for a, b in re.findall(rf"{LINES}: (\d+) of (\d+) lines equal", printed))
    return "equal" if compared == len(folders) else f"{len(folders) - compared} tokenizers differ or were not compared"


def check_swift(folders: list[Path], work: Path) -> str:
    """The iOS app's core."""
    printed = swift.run_core_tests(work, folders)
    compared = len(re.findall(rf"^compared \d+ lines of .*/{LINES}: 0 differ$", printed, re.MULTILINE))
    return "equal" if compared == len(folders) else f"{len(folders) - compared} tokenizers differ or were not compared"


Check = Callable[[list[Path], Path], str]
CORES: dict[str, tuple[Check, Callable[[], str | None]]] = {  # how it is compared, and what it lacks here
    "Python": (check_python, lambda: None),
    "JavaScript": (check_javascript, lambda: missing_tool("node")),
    "Kotlin": (check_kotlin, lambda: default_toolchain().missing()),
    "Swift": (check_swift, swift.missing),
}


def check_vocabulary(vocabulary: Path, count: int, seed: int, work: Path) -> dict[str, str]:
    """What each core says of a vocabulary; prints a line as soon as it is known."""
    folders = write_tokenizers(vocabulary, work / vocabulary.name)
    each = -(-count // len(folders))
    for folder in folders:
        write_reference(folder, folder / LINES, each, seed)
        (folder / MANIFEST_NAME).write_text(json.dumps(MANIFEST))
    print(f"{vocabulary.name}: {len(folders)} tokenizers, {each * len(folders):,} strings", flush=True)
    said = {}
    for core, (check, lacks) in CORES.items():
        reason = lacks()
        try:
            said[core] = f"not run: {reason}" if reason else check(folders, work / core.lower())
        except (ToolFailed, AssertionError) as e:
            said[core] = f"differs: {e}"
        print(f"{vocabulary.name}: {core}: {said[core]}", flush=True)
    return said


def main(arguments: list[str]) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vocabularies", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=100_000, help="fuzzed strings a vocabulary")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--require", action="store_true", help="a core that cannot run is a failure")
    given = parser.parse_args(arguments)
    said: list[str] = []
    for vocabulary in given.vocabularies:
        with tempfile.TemporaryDirectory() as folder:
            said += check_vocabulary(vocabulary, given.count, given.seed, Path(folder)).values()
    skipped = [answer for answer in said if answer.startswith("not run")]
    wrong = [answer for answer in said if answer != "equal" and answer not in skipped]
    sys.exit(1 if wrong or (skipped and given.require) else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
