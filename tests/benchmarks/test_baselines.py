"""The page shows what is recorded of the cheap baselines; other classifiers learn, fit and are repeatable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from benchmarks import linear, word_vectors
from benchmarks.baselines import NAME, PAGE, STATIC, Result, table
from benchmarks.store import RESULTS, Store
from benchmarks.tables import with_table
from benchmarks.word_vectors import Parts, fasttext_line, fit_fasttext, fit_static
from edgepack.task.dataset import Example

RECORDED = list(Store(RESULTS / NAME).load_all(Result).values())
WORDS = ["good", "fine", "bad", "poor", "the", "film", "is", "very"]


def test_the_page_shows_what_is_recorded() -> None:
    page = Path(PAGE).read_text(encoding="utf-8")
    assert with_table(page, NAME, table(RECORDED, linear.recorded(Store(RESULTS / linear.NAME)))) == page


def test_files_fit_their_budgets() -> None:
    assert RECORDED
    assert [each for each in RECORDED if each.bytes is not None and each.bytes > each.budget_bytes] == []
    assert [each for each in RECORDED if (each.bytes is None) != (each.accuracy is None)] == []


def test_what_was_not_run_is_said() -> None:
    """A cell says how many seeds it has, where one is missing."""
    (some,) = [r for r in RECORDED if (r.data, r.method, r.budget_bytes, r.seed) == ("sick", STATIC, 1_000_000, 0)]
    (row,) = table([some], []).splitlines()[2:]
    assert row.endswith(f"| does not fit | not run | {some.accuracy:.4f} ({some.bytes / 1e6:.2f} MB, 1 of 3 seeds) |")


@pytest.fixture(params=["texts", "pairs"])
def parts(request: pytest.FixtureRequest) -> Parts:
    """A word decides; of pairs whether both texts have the same word."""
    generator = np.random.default_rng(0)

    def example() -> Example:
        first, second = (generator.choice(WORDS[:4]), generator.choice(WORDS[:4]))
        if request.param == "texts":
            return Example(f"The film is very {first}!", None, None, int(first in ("bad", "poor")))
        return Example(f"{first} film", f"{second} film", None, int(first == second))

    return Parts([example() for _ in range(400)], [example() for _ in range(100)], 2, 0)


def word_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["[UNK]", *WORDS])}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    return tokenizer


def test_static_embeddings_learn_and_fit(parts: Parts) -> None:
    vectors = np.random.default_rng(1).normal(size=(len(WORDS) + 1, 64)).astype(np.float32)
    fit = fit_static(parts, vectors, word_tokenizer())
    small, large = fit(400), fit(100_000)
    assert fit(50) is None
    assert small is not None
    assert large is not None
    assert small.bytes <= 400 < large.bytes
    assert large.accuracy == 1.0
    assert large == fit(100_000)


def test_fasttext_learns_and_fits(parts: Parts, tmp_path: Path) -> None:
    pytest.importorskip("fasttext")
    fit = fit_fasttext(parts, tmp_path)
    found = fit(400_000)
    assert found is not None
    assert found.bytes <= 400_000
    if parts.evaluation[0].pair is None:
        assert found.accuracy == 1.0
    assert fit(word_vectors.WIDTH) is None


def test_fasttext_reads_words_and_marks_apart() -> None:
    assert fasttext_line(Example("Don't\tstop, É!", None, None, 0)) == "don ' t stop , é !"
    assert fasttext_line(Example("A", "b", None, 0)) == "a | b"
