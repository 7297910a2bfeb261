"""A student's own tokenizer: how it is read, what is put around a text, what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tokenizers import Regex, Tokenizer, pre_tokenizers

from edgepack.errors import InputError
from edgepack.teacher import Teacher, load_teacher, open_student_tokenizer
from tests.teacher.tiny import byte_level_tokenizer, write_teacher
from tests.teacher.tokenizers import TOKENIZERS, write_bare


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    folder = tmp_path_factory.mktemp("teacher")
    write_teacher(folder, "bert")
    return load_teacher(str(folder))


@pytest.mark.parametrize("name", TOKENIZERS)
def test_one_that_has_special_tokens_is_read_as_it_is(name: str, teacher: Teacher, tmp_path: Path) -> None:
    TOKENIZERS[name]().save_pretrained(tmp_path)
    found = open_student_tokenizer(str(tmp_path), teacher)
    before = json.loads(Tokenizer.from_file(str(tmp_path / "tokenizer.json")).to_str())
    after = json.loads(found.tokenizer.backend_tokenizer.to_str())
    assert {part: after[part] for part in ("model", "post_processor", "pre_tokenizer")} == {
        part: before[part] for part in ("model", "post_processor", "pre_tokenizer")
    }
    assert found.notes == ()
    assert found.tokenizer.pad_token_id is not None


def test_one_without_special_tokens_gets_them(teacher: Teacher, tmp_path: Path) -> None:
    folder = write_bare(tmp_path / "bare")
    found = open_student_tokenizer(str(folder), teacher)
    tokens = found.tokenizer.convert_ids_to_tokens(found.tokenizer("play")["input_ids"])
    assert (tokens[0], tokens[-1]) == ("<s>", "</s>")
    size = len(json.loads((folder / "vocab.json").read_text()))
    assert [found.tokenizer.convert_tokens_to_ids(t) for t in ("<s>", "</s>", "<pad>")] == [size, size + 1, size + 2]
    assert found.tokenizer.pad_token_id == size + 2
    pair = found.tokenizer("play", "stop")
    assert pair["token_type_ids"][0] == 0
    assert pair["token_type_ids"][-1] == 1
    assert found.notes == (
        f"student tokenizer {folder}: puts no special tokens around a text; <s> </s> <pad> were added",
    )
    assert found.sha256 == open_student_tokenizer(str(folder), teacher).sha256


def test_one_that_no_app_can_run_is_refused_by_name(teacher: Teacher, tmp_path: Path) -> None:
    tokenizer = byte_level_tokenizer()
    split = pre_tokenizers.Split(Regex(r"\p{N}{1,3}| ?\p{L}+"), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"no app can run it: its pre-tokenizer is Sequence.*; allowed: WordPiece, "):
        open_student_tokenizer(str(tmp_path), teacher)


def test_a_folder_without_one_and_a_name_that_is_none(teacher: Teacher, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"student tokenizer .*: no tokenizer; one of tokenizer\.json"):
        open_student_tokenizer(str(tmp_path), teacher)
    with pytest.raises(InputError, match=re.escape("no such folder")):
        open_student_tokenizer("./nowhere", teacher)
