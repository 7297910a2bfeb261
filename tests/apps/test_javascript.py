"""The JavaScript core in Node: its own tests, and a small part of what `make test-apps` compares with the reference."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from edgepack.package.template import checkout
from edgepack.tokenizer.asset import MAGIC, VERSION, backend_tokenizer
from edgepack.tokenizer.byte_pairs import describe_merges, encode_merges
from tests.apps.reference import write_reference
from tests.apps.variants import write_byte_pairs, write_variants
from tests.teacher.tiny import byte_level_tokenizer

PROGRAMS = Path(__file__).parent / "javascript"
COUNT = 3000

pytestmark = [
    pytest.mark.needs_node,
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not on the path"),
]


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


def test_ids_and_offsets_are_the_references(tokenizer: Path, tmp_path: Path) -> None:
    (lines,) = write_reference(tokenizer, tmp_path / "fuzz.jsonl", COUNT, seed=2)
    done = node(PROGRAMS / "compare.mjs", tokenizer / "tokenizer.bin", "64", lines)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert (result["lines"], result["different"]) == (COUNT, 0)


@pytest.mark.parametrize("name", ["roberta-prefixed", "added", "template-trimmed"])
def test_byte_level_ids_and_offsets_are_the_references(tmp_path: Path, name: str) -> None:
    (folder,) = write_byte_pairs(tmp_path, [name])
    (lines,) = write_reference(folder, tmp_path / "fuzz.jsonl", 1000, seed=3)
    done = node(PROGRAMS / "compare.mjs", folder / "tokenizer.bin", "64", lines)
    assert done.returncode == 0, done.stdout + done.stderr


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


def test_the_comparison_sees_a_difference(tokenizer: Path, tmp_path: Path) -> None:
    (path,) = write_reference(tokenizer, tmp_path / "fuzz.jsonl", 3, seed=2)
    lines = path.read_text().splitlines()
    wrong = json.loads(lines[1])
    wrong["offsets_utf16"][-1] = [0, 1]
    path.write_text("\n".join([lines[0], json.dumps(wrong), lines[2]]))
    done = node(PROGRAMS / "compare.mjs", tokenizer / "tokenizer.bin", "64", path)
    assert done.returncode == 1
    assert "other offsets" in done.stdout
    assert node(PROGRAMS / "compare.mjs", tokenizer / "tokenizer.bin", "64").returncode == 1  # nothing compared


def test_the_rest_of_the_core(tokenizer: Path) -> None:
    done = node("--test", PROGRAMS / "core.test.mjs", TOKENIZER=str(tokenizer / "tokenizer.bin"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# skipped 0" in done.stdout


@pytest.mark.parametrize("path", sorted((checkout() / "web").glob("*.*js")), ids=lambda path: path.name)
def test_the_pages_scripts_parse(path: Path) -> None:
    done = subprocess.run(
        ["node", "--check", "--input-type=module"], input=path.read_text(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
