"""Options of tokenizer_config.json that tokenizer.json contradicts: the tokenizer that they would make is a rival."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import pre_tokenizers

from edgepack.teacher import open_checkpoint
from edgepack.teacher.pipeline import find_rival
from edgepack.teacher.tokenizer import open_tokenizer
from edgepack.teacher.tokenizer_settings import read_settings
from tests.teacher.test_tokenizer import Change, file_ids, ids, normalizer, vocabulary
from tests.teacher.tiny import byte_level, edit, edit_json
from tests.teacher.tokenizers import unigram_tokenizer

RIVALS: dict[str, tuple[dict[str, Any], Change]] = {
    "do_lower_case true": ({"do_lower_case": True}, normalizer(lowercase=False)),
    "do_lower_case false": ({"do_lower_case": False}, normalizer(lowercase=True)),
    "do_lower_case of another normalizer": ({"do_lower_case": True}, lambda d: d.update(normalizer={"type": "NFC"})),
    "strip_accents": ({"strip_accents": False}, normalizer(strip_accents=None)),
    "tokenize_chinese_chars": ({"tokenize_chinese_chars": False}, normalizer(handle_chinese_chars=True)),
}


@pytest.mark.parametrize("name", RIVALS)
def test_an_option_that_the_file_contradicts_is_a_rival(folder: Path, name: str) -> None:
    options, change = RIVALS[name]
    edit_json(folder, "tokenizer.json", change)
    edit_json(folder, "tokenizer.json", lambda d: d["model"]["vocab"].update({"Play": 900 + len(d["model"]["vocab"])}))
    edit_json(folder, "tokenizer.json", lambda d: renumber(d["model"]["vocab"]))
    edit(folder, "tokenizer_config.json", tokenizer_class="BertTokenizerFast", **options)
    rows = len(json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"])
    edit(folder, "config.json", vocab_size=rows)
    rival = open_tokenizer(open_checkpoint(str(folder)), "text-classification").rival
    assert rival is not None
    assert rival.difference.startswith(f"tokenizer_config.json says {name.split()[0]} ")
    edit(folder, "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    assert open_tokenizer(open_checkpoint(str(folder)), "text-classification").rival is None


def renumber(vocabulary: dict[str, int]) -> None:
    """Add letters as tokens, so that case, accents and ideographs show in the ids."""
    for token in ["Q", "É", "é", "中", "文", "中文", "test中文test", *"ABCDEFGHIJKLMNOPRSTUVWXYZ"]:
        vocabulary.setdefault(token, 0)
    for number, token in enumerate(sorted(vocabulary, key=lambda t: (not t.startswith("["), vocabulary[t], t))):
        vocabulary[token] = number
    for number, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]):
        assert vocabulary[token] == number


def test_the_space_before_the_first_word_is_the_files(tmp_path: Path) -> None:
    byte_level(tmp_path, add_prefix_space=...)
    opened = open_tokenizer(open_checkpoint(str(tmp_path)), "text-classification")
    assert ids(opened.tokenizer) == file_ids(tmp_path)
    assert opened.rival is None
    edit(tmp_path, "tokenizer_config.json", add_prefix_space=False)
    opened = open_tokenizer(open_checkpoint(str(tmp_path)), "text-classification")
    assert opened.rival is not None
    assert "add_prefix_space false" in opened.rival.difference
    assert open_tokenizer(open_checkpoint(str(tmp_path)), "token-classification").rival is None  # words have it anyway


def test_the_space_before_the_first_word_is_any_class_option(tmp_path: Path) -> None:
    """transformers 4 applied it whatever the class, the generic one too."""
    byte_level(tmp_path)
    edit_json(tmp_path, "tokenizer.json", lambda d: d["pre_tokenizer"].update(add_prefix_space=False))
    for name in ("PreTrainedTokenizerFast", "ModernBertTokenizer"):
        edit(tmp_path, "tokenizer_config.json", tokenizer_class=name, add_prefix_space=True)
        rival = open_tokenizer(open_checkpoint(str(tmp_path)), "text-classification").rival
        assert rival is not None
        assert "add_prefix_space true" in rival.difference


@pytest.mark.parametrize(
    ("scheme", "space", "contradicts"),
    [
        *(("first", True, False), ("always", True, False), ("never", False, False)),
        *(("first", False, True), ("always", False, True), ("never", True, True)),
    ],
)
def test_both_ways_to_write_a_space_first_are_what_the_option_says(
    folder: Path, scheme: str, space: bool, contradicts: bool
) -> None:
    backend = unigram_tokenizer().backend_tokenizer
    backend.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme=scheme)
    edit(folder, "tokenizer_config.json", tokenizer_class="XLMRobertaTokenizer", add_prefix_space=space)
    rival = find_rival(backend, read_settings(folder, "checkpoint x"), "text-classification")
    assert (rival is not None) == contradicts


@pytest.mark.parametrize("name", ["ConvBertTokenizer", "MobileBertTokenizerFast", "DebertaV2Tokenizer"])
def test_every_class_that_reads_case_names_a_rival(folder: Path, name: str) -> None:
    edit_json(folder, "tokenizer.json", normalizer(lowercase=False))
    edit(folder, "tokenizer_config.json", tokenizer_class=name, do_lower_case=True)
    rival = open_tokenizer(open_checkpoint(str(folder)), "text-classification").rival
    assert rival is not None
    assert rival.backend.encode("PLAY").ids == rival.backend.encode("play").ids


@pytest.mark.parametrize(
    ("options", "said", "begins", "ends"),
    [
        ({"add_eos_token": True, "eos_token": "[MASK]"}, "add_eos_token true", False, True),
        ({"add_bos_token": False, "bos_token": "[CLS]"}, "add_bos_token false", False, False),
        ({"add_bos_token": True, "bos_token": "[CLS]"}, None, True, False),
        ({"add_bos_token": False, "add_eos_token": False}, None, True, False),
    ],
)
def test_tokens_that_options_put_around_a_text_are_a_rival(
    folder: Path, options: dict[str, Any], said: str | None, begins: bool, ends: bool
) -> None:
    """transformers writes the template anew where one of the options is set."""
    edit(folder, "tokenizer_config.json", **options)
    rival = open_tokenizer(open_checkpoint(str(folder)), "text-classification").rival
    if said is None:
        assert rival is None
        return
    assert rival is not None
    assert rival.difference == f"tokenizer_config.json says {said}, and tokenizer.json does otherwise"
    tokens = rival.backend.encode("play").tokens
    assert (tokens[0] == "[CLS]", tokens[-1] == "[MASK]") == (begins, ends)


def test_other_flags_of_an_added_token_are_a_rival(folder: Path) -> None:
    """transformers adds it again with the flags of tokenizer_config.json."""
    number = max(json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"].values())
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    token = {"id": number, "content": vocabulary(folder)[number], **flags}
    edit_json(folder, "tokenizer.json", lambda d: d["added_tokens"].append(token))
    for stated, differs in ((flags, False), ({**flags, "single_word": True}, True)):
        edit(folder, "tokenizer_config.json", added_tokens_decoder={str(number): {**token, **stated}})
        rival = open_tokenizer(open_checkpoint(str(folder)), "text-classification").rival
        assert (rival is not None) == differs
    assert rival is not None
    assert "says other flags of the added token" in rival.difference
