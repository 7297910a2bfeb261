"""The encoder teachers: their tokenizers, the tables and layers that they begin with, the rows of their students."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel, RobertaConfig

from benchmarks import encoder_teachers, encoders
from benchmarks.building import Result
from benchmarks.encoder_tables import Base, narrowed, spell, start_table, token_texts
from benchmarks.encoder_teachers import KINDS, ROBERTA_OFFSET, with_layers
from benchmarks.encoder_tokenizers import deberta_tokenizer, longer, modernbert_tokenizer, roberta_tokenizer
from benchmarks.encoders import LanguageResult, Languages
from benchmarks.goals import goal_table
from benchmarks.runs import ENCODERS, Run, task_files
from benchmarks.store import RESULTS, Store
from benchmarks.tables import with_table
from edgepack.bundle.manifest import MetricRecord
from edgepack.demo.base import make_tokenizer
from edgepack.errors import InputError
from edgepack.tokenizer.byte_pairs import byte_tokens

SENTENCES = ["play some music now", "what is the weather today", "playing the music"]
MERGES = ["p l", "pl a", "pla y", "Ġ play", "i n", "in g"]


@pytest.fixture
def gpt2(tmp_path: Path) -> Path:
    """A folder in the shared layout with the bytes and a few merges as GPT-2's."""
    folder = tmp_path / "data/tokenizers/gpt2"
    folder.mkdir(parents=True)
    words = [*sorted(byte_tokens()), *(merge.replace(" ", "") for merge in MERGES), "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *MERGES]) + "\n")
    return tmp_path


@pytest.fixture
def base() -> Base:
    tokenizer = make_tokenizer(SENTENCES)
    torch.manual_seed(0)
    return Base(tokenizer, torch.randn(len(tokenizer), 8))


def test_robertas_special_tokens_stand_before_and_behind_gpt2s(gpt2: Path) -> None:
    tokenizer = roberta_tokenizer(gpt2)
    assert tokenizer.convert_tokens_to_ids(["<s>", "<pad>", "</s>", "<unk>"]) == [0, 1, 2, 3]
    assert tokenizer.mask_token_id == len(tokenizer) - 1 == 4 + 256 + len(MERGES) + 1 + 3
    assert tokenizer.convert_ids_to_tokens(tokenizer("play playing")["input_ids"]) == [
        *("<s>", "play", "Ġplay", "ing", "</s>"),
    ]


def test_modernbert_composes_and_has_its_tokens_behind_the_runs_of_spaces(gpt2: Path) -> None:
    tokenizer = modernbert_tokenizer(gpt2)
    words = 256 + len(MERGES) + 1
    assert tokenizer.unk_token_id == words + 23
    assert len(tokenizer) == words + 23 + 5 + 83
    assert tokenizer("e\u0301")["input_ids"] == tokenizer("\u00e9")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(tokenizer("play    play")["input_ids"]) == [
        *("[CLS]", "play", "    ", "play", "[SEP]"),
    ]


def test_a_trained_vocabulary_has_the_size_that_is_asked_for_or_is_refused(shared: Path) -> None:
    texts = [f"{sentence} {number}" for sentence in SENTENCES for number in range(40)]
    tokenizer = deberta_tokenizer(texts, 40, shared)
    assert len(tokenizer) == 40
    assert tokenizer.mask_token_id == 39
    long = longer(tokenizer, 500)
    assert (len(long), long.mask_token_id) == (500, 499)
    assert long("play \ufb01 now")["input_ids"] == tokenizer("play \ufb01 now")["input_ids"]
    with pytest.raises(InputError, match="9,000 are wanted"):
        deberta_tokenizer(texts, 9_000, shared)


def test_texts_of_bytes_say_where_a_word_begins_and_parts_of_a_character_have_none(gpt2: Path) -> None:
    tokenizer = roberta_tokenizer(gpt2)
    texts = dict(zip(tokenizer.convert_ids_to_tokens(range(len(tokenizer))), token_texts(tokenizer), strict=True))
    assert texts["Ġplay"] == ("play", True)
    assert texts["ing"] == ("ing", False)
    assert texts[byte_tokens()[0xC3]] == ("", False)


def test_a_row_is_the_mean_of_its_pieces_and_the_rest_is_random(gpt2: Path, base: Base) -> None:
    tokenizer, vocabulary = roberta_tokenizer(gpt2), base.tokenizer.get_vocab()
    started = start_table(tokenizer, base, len(tokenizer) + 3, seed=0)
    of = tokenizer.get_vocab()
    assert torch.equal(started.rows[of["Ġplay"]], base.rows[vocabulary["play"]])
    assert torch.equal(started.rows[of["<pad>"]], base.rows[vocabulary["[PAD]"]])
    pieces = spell("ing", False, base.tokenizer, vocabulary)
    assert all(base.tokenizer.convert_ids_to_tokens(piece).startswith("##") for piece in pieces)
    assert torch.allclose(started.rows[of["ing"]], base.rows[pieces].mean(0))
    assert spell("\u0416", True, base.tokenizer, vocabulary) == []
    assert 0 < started.known < 1
    assert torch.equal(started.rows, start_table(tokenizer, base, len(tokenizer) + 3, seed=0).rows)


def test_a_narrower_table_keeps_products_where_the_directions_suffice() -> None:
    torch.manual_seed(0)
    flat = torch.randn(50, 4) @ torch.randn(4, 16)
    base = Base(make_tokenizer(SENTENCES), flat)
    rows = narrowed(base, 4).rows
    assert rows.shape == (50, 4)
    assert torch.allclose(rows @ rows.T, flat @ flat.T, atol=1e-3)
    assert narrowed(base, 16) is base


def test_roberta_begins_with_the_bases_layers_and_its_positions_behind_the_padding(gpt2: Path) -> None:
    tokenizer = make_tokenizer(SENTENCES)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=24,
    )
    folder = gpt2 / encoder_teachers.BASE
    torch.manual_seed(0)
    bert = BertModel(config, add_pooling_layer=False)
    bert.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    roberta = with_layers(RobertaConfig, roberta_tokenizer(gpt2), gpt2).eval()
    words = torch.randn(2, 5, 16)
    with torch.no_grad():
        want = bert.eval()(inputs_embeds=words).last_hidden_state
        positions = torch.arange(ROBERTA_OFFSET, ROBERTA_OFFSET + 5).expand(2, 5)
        found = roberta(inputs_embeds=words, position_ids=positions).last_hidden_state
    assert torch.allclose(found, want, atol=1e-5)


def test_every_student_has_a_teacher_and_one_language_its_own_data(tmp_path: Path) -> None:
    assert all(task.teacher in KINDS for task in encoders.TASKS.values())
    files = task_files(Run(ENCODERS, "xlmr-english", 2_000_000, 0), tmp_path / "shared", tmp_path)
    assert files.teacher == str(tmp_path / "encoder-teachers/xlmr-xlmt")
    assert files.train == str(tmp_path / "shared/data/xlmt-sentiment/english/train.tsv")
    planned = encoders.plan_runs(["roberta-sst2"], "quick")
    assert [run.budget_bytes for run in planned] == [4_000_000, 2_000_000, 1_000_000]
    assert planned[0].key == "roberta-sst2-4MB-quick-default-seed0"


def test_a_row_holds_the_goal_beside_what_was_kept(result_of: Callable[..., Result]) -> None:
    small, large = (result_of(Run(ENCODERS, "roberta-sst2", budget, 0), 0.88) for budget in (1_000_000, 4_000_000))
    rows = goal_table([small, large], encoders.TASKS).splitlines()[2:]
    assert [row.split(" | ")[1] for row in rows] == ["4MB", "1MB"]
    assert "97.8% (96.8% to 98.8%) | 99.0%" in rows[0]
    assert rows[1].split(" | ")[7] == "96.5%"


def test_the_page_holds_the_tables_of_the_recorded_runs() -> None:
    page = encoders.PAGE.read_text(encoding="utf-8")
    for name, table in encoders.page_tables(RESULTS).items():
        assert page == with_table(page, name, table), "run `python -m benchmarks encoders --table-only`"


def test_of_several_efforts_the_longest_has_its_languages_in_the_page(
    tmp_path: Path, result_of: Callable[..., Result]
) -> None:
    for effort, value in (("quick", 0.4), ("standard", 0.45)):
        run = Run(ENCODERS, encoders.SEVERAL, 4_000_000, 0, effort)
        Store(tmp_path / ENCODERS).save(run.key, result_of(run))
        found = Languages(
            key=run.key, results=[LanguageResult(language="hindi", teacher=record(0.5), artifact=record(value))]
        )
        Store(tmp_path / f"{ENCODERS}-languages").save(run.key, found)
    tables = encoders.page_tables(tmp_path)
    assert len(tables[ENCODERS].splitlines()) == 2 + 2
    assert "0.450" in tables[f"{ENCODERS}-languages"]


def record(value: float) -> MetricRecord:
    return MetricRecord(name="accuracy", value=value, n=10, low=value, high=value)


def test_languages_weigh_the_same() -> None:
    results = [
        LanguageResult(language=name, teacher=record(0.5), artifact=record(value))
        for name, value in (("hindi", 0.4), ("english", 0.5))
    ]
    found = Languages(key="key", results=results)
    assert found.retention == pytest.approx(0.9)
    assert "-10.0" in encoders.language_table(found)
    assert encoders.language_table(found).splitlines()[-1] == "| mean | 0.500 | 0.450 | -5.0 |"
