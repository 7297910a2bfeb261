"""The table of tokenizer assets: figures where there are some, a reason where not, and the page as recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import tokenizer_assets
from benchmarks.store import RESULTS, Store
from benchmarks.tables import with_table
from benchmarks.tokenizer_assets import KindResult, ReaderResult, read_sentences, reader_cells, result_table
from edgepack.errors import InputError

MEASURED = ReaderResult(
    load_ms=12.4, seconds=0.5, library_seconds=1.0, loaded_bytes=30_000_000, growth_bytes=2_000_000, equal=True
)


def test_figures_and_reasons() -> None:
    assert reader_cells(MEASURED) == ["12 ms", "0.50 s", "0.50 x", "30 MB", "2 MB"]
    assert reader_cells(MEASURED.model_copy(update={"equal": False}))[2] == "0.50 x, other tokens"
    assert reader_cells(ReaderResult(missing="no compiler"))[:2] == ["not measured: no compiler", ""]


def test_a_kind_is_named_once() -> None:
    readers = {"Kotlin (JVM)": MEASURED, "Swift": ReaderResult(missing="no compiler")}
    result = KindResult(
        tokens_of_vocabulary=100, asset_bytes=5000, texts=10, tokens=70, machine="Linux", readers=readers
    )
    rows = result_table({"wordpiece": result}).splitlines()[2:]
    assert rows[0].startswith("| WordPiece, English, 100 tokens | 5,000 | Kotlin (JVM) |")
    assert rows[1].startswith("|  |  | Swift | not measured: no compiler |")


def test_too_few_sentences_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "few.txt").write_text("one  two\n\nthree\n")
    assert read_sentences(tmp_path / "few.txt", 2) == "one two\nthree\n"
    with pytest.raises(InputError, match=r"few\.txt has 2 sentences; 3 are needed"):
        read_sentences(tmp_path / "few.txt", 3)


def test_the_page_is_what_is_recorded() -> None:
    page = tokenizer_assets.PAGE.read_text(encoding="utf-8")
    results = Store(RESULTS / tokenizer_assets.NAME).load_all(KindResult)
    assert page == with_table(page, tokenizer_assets.NAME, result_table(results))
    assert all(reader.equal is not False for result in results.values() for reader in result.readers.values())
