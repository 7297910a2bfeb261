"""The fuzzed strings are what they claim to be, and the plain Python reader passes what the apps must pass."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from edgepack.tokenizer.reader import read_tokenizer_asset
from edgepack.tokenizer.unicode_tables import SURROGATES
from tests.apps.reference import answer_line, reference_lines, write_reference
from tests.apps.unigrams import CASES, source_of, write_unigrams
from tests.apps.variants import BYTE_PAIRS, GPT2, NORMALIZERS, write_byte_pairs, write_variants
from tests.apps.vocabularies import LINES, different_in_python

COUNT = 200  # strings a tokenizer; `make fuzz-tokenizers` takes 100,000
VARIANTS = [*NORMALIZERS, "trimmed", "short-words", "swallowing", "empty-prefix", "late", "late-cased"]


@pytest.fixture(scope="module")
def variants(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them: each asks the reference about every code point, about two seconds."""
    folder = tmp_path_factory.mktemp("variants")
    assert [path.name for path in write_variants(source, folder)] == VARIANTS
    return folder


def check_reader(folder: Path, count: int) -> None:
    reader = read_tokenizer_asset((folder / "tokenizer.bin").read_bytes())
    for line in reference_lines(folder, count, seed=1):
        assert "words" in line or "pair" in line
        assert answer_line(reader, line) == line, ascii(line)


def test_the_python_reader_gives_the_references_ids_and_offsets(source: Path, tmp_path: Path) -> None:
    (folder,) = write_variants(source, tmp_path / "variants", ["uncased"])
    check_reader(folder, 500)


def test_a_difference_on_a_vocabulary_is_counted(source: Path, tmp_path: Path) -> None:
    (folder,) = write_variants(source, tmp_path / "variants", ["uncased"])
    (path,) = write_reference(folder, folder / LINES, 3, seed=2)
    assert different_in_python(folder) == 0
    lines = path.read_text().splitlines()
    lines[1] = json.dumps(json.loads(lines[1]) | {"input_ids": [0]})
    path.write_text("\n".join(lines))
    assert different_in_python(folder) == 1


def test_it_reads_a_byte_level_tokenizer(tmp_path: Path) -> None:
    (folder,) = write_byte_pairs(tmp_path, ["added-prefixed"])
    check_reader(folder, 300)


@pytest.mark.slow
@pytest.mark.parametrize("name", BYTE_PAIRS)
@pytest.mark.parametrize("source", [None, GPT2], ids=["few", "gpt2"])
def test_it_reads_byte_level_tokenizers_of_every_option(tmp_path: Path, name: str, source: Path | None) -> None:
    if source is not None and not source.is_dir():
        pytest.skip("GPT-2's files do not lie beside the checkout")
    (folder,) = write_byte_pairs(tmp_path, [name], source)
    check_reader(folder, COUNT)


def test_it_reads_a_unigram_tokenizer(tmp_path: Path) -> None:
    (folder,) = write_unigrams(tmp_path, ["t5"])
    check_reader(folder, 300)


def test_it_finds_added_tokens_in_normalized_text(source: Path, tmp_path: Path) -> None:
    (folder,) = write_variants(source, tmp_path, ["late"])
    check_reader(folder, 300)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "source"), CASES)
def test_it_reads_unigram_tokenizers_of_every_option(tmp_path: Path, name: str, source: str) -> None:
    (folder,) = write_unigrams(tmp_path, [name], source_of(source))
    check_reader(folder, COUNT)


@pytest.mark.slow
def test_byte_level_options_make_a_difference(tmp_path: Path) -> None:
    text = " the movie <both>  wasn't <mask> ok e\u0301 É"
    seen = set()
    for folder in write_byte_pairs(tmp_path, [name for name in BYTE_PAIRS if name != "two-ways"]):
        encoding = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text, "a")
        seen.add((*encoding.ids, *encoding.type_ids, *encoding.offsets))
    assert len(seen) == len(BYTE_PAIRS) - 1


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_it_does_so_with_every_option(variants: Path, name: str) -> None:
    check_reader(variants / name, COUNT)


@pytest.mark.slow
def test_options_make_a_difference(variants: Path) -> None:
    text = "Café ÉÇ İstanbul 中文 a\x00b"
    ids = {n: tuple(Tokenizer.from_file(str(variants / n / "tokenizer.json")).encode(text).ids) for n in NORMALIZERS}
    same = [("uncased", "uncased-no-accents")]  # by definition: accents go where lowercase is on
    for first in NORMALIZERS:
        for second in NORMALIZERS:
            if first < second and (first, second) not in same:
                assert ids[first] != ids[second], (first, second)


def test_the_strings_reach_every_plane_and_are_the_same_each_time(source: Path, tmp_path: Path) -> None:
    paths = write_reference(source, tmp_path / "out.jsonl", count=2500, seed=0, split=1000)
    assert [path.name for path in paths] == ["out-0.jsonl", "out-1.jsonl", "out-2.jsonl"]
    lines = [json.loads(line) for path in paths for line in path.read_text("ascii").splitlines()]
    assert len(lines) == 2500
    text = "".join(line["text"] + line.get("pair", "") for line in lines)
    points = set(map(ord, text))
    assert {point >> 16 for point in points} >= {0, 1, 2, 3, 14, 15, 16}
    assert len({point >> 8 for point in points if point < 0x20000}) > 450  # of 504 pages without surrogates
    assert not points & set(SURROGATES)
    assert 0.15 < sum("pair" in line for line in lines) / 2500 < 0.25
    at_limit = sum(len(line["input_ids"]) == line["max_length"] for line in lines)
    assert 0.1 < at_limit / 2500 < 0.6
    assert json.loads(json.dumps(next(iter(reference_lines(source, 1, seed=0))))) == lines[0]
    assert next(iter(reference_lines(source, 1, seed=1))) != lines[0]
