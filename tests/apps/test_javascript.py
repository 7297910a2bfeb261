"""The JavaScript core in Node: its own tests, and a small part of what `make test-apps` compares with the reference."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from edgepack.package.template import checkout
from edgepack.task.scores import Activation
from edgepack.tokenizer.asset import MAGIC, VERSION, backend_tokenizer
from edgepack.tokenizer.byte_pairs import describe_merges, encode_merges
from tests.apps.label_sets import write_label_sets
from tests.apps.long_texts import write_windows
from tests.apps.reference import write_reference, write_words
from tests.apps.scores import write_scores
from tests.apps.unigrams import CASES, source_of, write_unigrams
from tests.apps.variants import GPT2, write_byte_pairs, write_variants
from tests.teacher.tiny import byte_level_tokenizer

PROGRAMS = Path(__file__).parent / "javascript"
COUNT = 2000
FEW = 200  # of a tokenizer among many; `make fuzz-tokenizers` takes 100,000

pytestmark = [
    pytest.mark.needs_node,
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not on the path"),
]


CORE = checkout() / "web" / "core"
BYTE_PAIRS = ("roberta-prefixed", "byte-level", "added-prefixed")  # of every option: `slow`
NORMALIZED = ("t5", "xlm-r", "nfkc-lower", "late")  # Unigram, BPE and WordPiece; the rest: `slow`


@pytest.fixture(scope="module")
def byte_pairs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders with byte-level tokenizers."""
    return write_byte_pairs(tmp_path_factory.mktemp("byte-pairs"), BYTE_PAIRS)


@pytest.fixture(scope="module")
def normalized(source: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders with Unigram tokenizers, and others that normalize or look for tokens in normalized text."""
    folder = tmp_path_factory.mktemp("normalized")
    unigrams, byte_pairs = write_unigrams(folder, NORMALIZED[:2]), write_byte_pairs(folder, NORMALIZED[2:3])
    return [*unigrams, *byte_pairs, *write_variants(source, folder, NORMALIZED[3:])]


@pytest.fixture(scope="module")
def tokenizer(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tokenizer.json and tokenizer.bin."""
    (folder,) = write_variants(source, tmp_path_factory.mktemp("tokenizer") / "variants", ["uncased"])
    return folder


def node(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["node", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def check_equal(folder: Path, lines: Path, count: int) -> int:
    """How many of the lines have unknown tokens."""
    done = node(PROGRAMS / "compare.mjs", folder / "tokenizer.bin", "64", lines)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert (result["lines"], result["different"]) == (count, 0)
    assert result["words"] > count, "words were compared"
    return int(result["unknown"])


def test_ids_offsets_and_words_are_the_references(tokenizer: Path, tmp_path: Path) -> None:
    (lines,) = write_reference(tokenizer, tmp_path / "fuzz.jsonl", COUNT, seed=2)
    assert check_equal(tokenizer, lines, COUNT) > COUNT // 20, "shares of unknown tokens were compared"


@pytest.mark.parametrize("place", range(len(BYTE_PAIRS)), ids=BYTE_PAIRS)
def test_so_they_are_of_byte_level_tokenizers(byte_pairs: list[Path], place: int, tmp_path: Path) -> None:
    (lines,) = write_reference(byte_pairs[place], tmp_path / "fuzz.jsonl", FEW, seed=3)
    check_equal(byte_pairs[place], lines, FEW)


@pytest.mark.parametrize("place", range(len(NORMALIZED)), ids=NORMALIZED)
def test_so_they_are_where_text_is_normalized(normalized: list[Path], place: int, tmp_path: Path) -> None:
    (lines,) = write_reference(normalized[place], tmp_path / "fuzz.jsonl", FEW, seed=6)
    check_equal(normalized[place], lines, FEW)


def test_words_of_unigram_tokenizers(byte_pairs: list[Path]) -> None:
    check_equal(byte_pairs[0], write_words(byte_pairs[0], FEW, seed=4), FEW)


@pytest.mark.slow
def test_ids_offsets_and_words_with_every_option(source: Path, tmp_path: Path) -> None:
    folders = write_variants(source, tmp_path / "variants") + write_byte_pairs(tmp_path / "byte-pairs")
    if GPT2.is_dir():
        folders += write_byte_pairs(tmp_path / "gpt2", ["byte-level", "added-prefixed"], GPT2)
    assert len(folders) > 24
    for folder in folders:
        (lines,) = write_reference(folder, folder / "fuzz.jsonl", FEW, seed=5)
        check_equal(folder, lines, FEW)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "source"), CASES)
def test_so_they_are_of_unigram_tokenizers_of_every_option(name: str, source: str, tmp_path: Path) -> None:
    (folder,) = write_unigrams(tmp_path, [name], source_of(source))
    (lines,) = write_reference(folder, folder / "fuzz.jsonl", FEW, seed=7)
    check_equal(folder, lines, FEW)


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ({}, "no-lines.jsonl"),  # it is read, and what should be compared is not there
        ({"letters": "a "}, "takes a space for something else"),
        ({"gaps": "\t"}, "takes a space for something else"),
    ],
)
def test_a_space_that_ends_no_piece_is_damage(tmp_path: Path, classes: dict[str, str], expected: str) -> None:
    backend = backend_tokenizer(byte_level_tokenizer())
    data = describe_merges(backend, json.loads(backend.to_str()))
    lists = {"letters": "a", "gaps": "\t ", **classes}
    tables = replace(data.tables, **{name: frozenset(map(ord, points)) for name, points in lists.items()})
    path = tmp_path / "tokenizer.bin"
    path.write_bytes(encode_merges(replace(data, tables=tables), MAGIC, VERSION))
    done = node(PROGRAMS / "compare.mjs", path, "64", tmp_path / "no-lines.jsonl")
    assert done.returncode == 1
    assert expected in done.stderr


def test_label_sets_are_pythons(tokenizer: Path, tmp_path: Path) -> None:
    for name in ("tokenizer.json", "tokenizer.bin"):
        (tmp_path / name).write_bytes((tokenizer / name).read_bytes())
    files = [{"path": p, "bytes": 1, "sha256": "0" * 64, "shipped": True} for p in ("m.onnx", "tokenizer.bin")]
    rest = {"inputs": [], "outputs": [], "files": files}
    write_label_sets(tmp_path, {"schema": 1, "task": "text-classification", "max_length": 64, **rest}, FEW, seed=8)
    done = node(PROGRAMS / "sets.mjs", tmp_path)
    assert json.loads(done.stdout) == {"lines": FEW, "different": 0}, done.stderr
    line, *others = (tmp_path / "sets.jsonl").read_text().splitlines()
    wrong = json.loads(line) | {"labels": ["no"]}
    (tmp_path / "sets.jsonl").write_text("\n".join([json.dumps(wrong), *others]))
    assert json.loads(node(PROGRAMS / "sets.mjs", tmp_path).stdout)["different"] == 1


@pytest.mark.parametrize("activation", ["identity", "sigmoid"])
def test_scores_are_pythons(tokenizer: Path, tmp_path: Path, activation: Activation) -> None:
    for name in ("tokenizer.json", "tokenizer.bin"):
        (tmp_path / name).write_bytes((tokenizer / name).read_bytes())
    files = [{"path": p, "bytes": 1, "sha256": "0" * 64, "shipped": True} for p in ("m.onnx", "tokenizer.bin")]
    rest = {"schema": 1, "task": "text-classification", "max_length": 64, "inputs": [], "outputs": [], "files": files}
    write_scores(tmp_path, rest, FEW, 8, activation)
    done = node(PROGRAMS / "scores.mjs", tmp_path)
    assert json.loads(done.stdout) == {"lines": FEW, "different": 0}, done.stderr
    line, *others = (tmp_path / "scores.jsonl").read_text().splitlines()
    (tmp_path / "scores.jsonl").write_text("\n".join([json.dumps(json.loads(line) | {"score": 7}), *others]))
    assert json.loads(node(PROGRAMS / "scores.mjs", tmp_path).stdout)["different"] == 1


def test_long_texts_in_windows_are_pythons(tokenizer: Path, tmp_path: Path) -> None:
    path = write_windows(tokenizer, tmp_path / "windows.jsonl", FEW, seed=9)
    done = node(PROGRAMS / "windows.mjs", tokenizer / "tokenizer.bin", path)
    assert json.loads(done.stdout) == {"lines": FEW, "different": 0}, done.stderr
    line, *others = path.read_text().splitlines()
    wrong = json.loads(line)
    path.write_text("\n".join([json.dumps(wrong | {"logits": [9.0, *wrong["logits"][1:]]}), *others]))
    assert json.loads(node(PROGRAMS / "windows.mjs", tokenizer / "tokenizer.bin", path).stdout)["different"] == 1


def test_the_comparison_sees_a_difference(tokenizer: Path, tmp_path: Path) -> None:
    (path,) = write_reference(tokenizer, tmp_path / "fuzz.jsonl", 3, seed=2)
    lines = path.read_text().splitlines()
    wrong = json.loads(lines[1])
    offsets = wrong["offsets_utf16"]
    for changed, what in (
        ({"offsets_utf16": [*offsets[:-1], [0, 1]]}, "offsets"),
        ({"words": [[1, 0, 99]]}, "words"),
        ({"unknown": 2.0}, "share of unknown tokens"),
    ):
        path.write_text("\n".join([lines[0], json.dumps(wrong | changed), lines[2]]))
        done = node(PROGRAMS / "compare.mjs", tokenizer / "tokenizer.bin", "64", path)
        assert done.returncode == 1
        assert f"other {what}" in done.stdout
    assert node(PROGRAMS / "compare.mjs", tokenizer / "tokenizer.bin", "64").returncode == 1  # nothing compared


@pytest.mark.parametrize("program", ["core.test.mjs", "byte-pairs.test.mjs", "unigram.test.mjs", "damage.test.mjs"])
def test_the_rest_of_the_core(tokenizer: Path, byte_pairs: list[Path], normalized: list[Path], program: str) -> None:
    folders = (tokenizer, byte_pairs[0], byte_pairs[2], normalized[0], *normalized[2:])
    assets = [folder / "tokenizer.bin" for folder in folders]
    done = node("--test", PROGRAMS / program, TOKENIZER=str(assets[0]), ASSETS=":".join(map(str, assets)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# skipped 0" in done.stdout


def test_the_cores_files_import_each_other_one_way() -> None:
    pattern = re.compile(r'^(?:import|export) .* from "\./(.+)";$', re.MULTILINE)
    imports = {path.name: pattern.findall(path.read_text()) for path in CORE.glob("*.js")}
    assert sum(map(len, imports.values())) > 20
    assert all(name in imports for names in imports.values() for name in names)
    left = dict(imports)
    while left:
        free = [name for name, needs in left.items() if not any(need in left for need in needs)]
        assert free, f"a cycle in {sorted(left)}"
        left = {name: needs for name, needs in left.items() if name not in free}


@pytest.mark.parametrize("path", sorted((checkout() / "web").glob("*.*js")), ids=lambda path: path.name)
def test_the_pages_scripts_parse(path: Path) -> None:
    done = subprocess.run(
        ["node", "--check", "--input-type=module"], input=path.read_text(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_runtime_is_compressed_once_and_sent_as_the_browser_takes_it() -> None:
    done = node("--test", PROGRAMS / "serve.test.mjs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass 9" in done.stdout, done.stdout
