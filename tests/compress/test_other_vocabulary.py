"""A word table for another tokenizer: whose rows, and that the teacher's own tokenizer changes nothing."""

from __future__ import annotations

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from edgepack.compress.other_vocabulary import Surface, mean_rows, read_surfaces, source_rows
from tests.teacher.tokenizers import TOKENIZERS

MADE = {name: make() for name, make in TOKENIZERS.items()}


def rows_by_token(teacher: PreTrainedTokenizerFast, other: PreTrainedTokenizerFast) -> dict[str, list[str]]:
    rows = source_rows(teacher, other)
    return {token: teacher.convert_ids_to_tokens(list(rows[number])) for token, number in other.get_vocab().items()}


@pytest.mark.parametrize("name", MADE)
def test_the_teachers_own_tokenizer_keeps_every_row(name: str) -> None:
    rows = source_rows(MADE[name], MADE[name])
    assert rows == [(number,) for number in range(len(rows))]
    table = torch.randn(len(rows), 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(mean_rows(table, rows), table)


def test_what_stands_for_the_same_is_the_same_token() -> None:
    pieces, bytes_, unigram = (MADE[name] for name in ("WordPiece", "byte-level BPE", "Unigram"))
    for other in (bytes_, unigram):
        mark = "Ġ" if other is bytes_ else "▁"
        found = rows_by_token(pieces, other)
        words = [token for token in found if token.startswith(mark) and token[1:] in pieces.get_vocab()]
        assert words
        for token in words:
            assert found[token] == [token[1:]]
    assert rows_by_token(bytes_, pieces)["the"] == bytes_.convert_ids_to_tokens(
        bytes_.backend_tokenizer.encode(" the", add_special_tokens=False).ids
    )


def test_special_tokens_have_the_row_of_the_same_role() -> None:
    found = rows_by_token(MADE["WordPiece"], MADE["byte-level BPE"])
    roles = {"<s>": "[CLS]", "</s>": "[SEP]", "<pad>": "[PAD]", "<unk>": "[UNK]", "<mask>": "[MASK]"}
    assert {token: found[token] for token in roles} == {token: [role] for token, role in roles.items()}


def test_other_tokens_get_the_mean_of_their_pieces_and_bytes_the_mean_of_all() -> None:
    table = torch.tensor([[1.0, 2.0], [3.0, 6.0], [5.0, 1.0]])
    assert mean_rows(table, [(0, 1), (2,), ()]).tolist() == [[2.0, 4.0], [5.0, 1.0], [3.0, 3.0]]
    rows = rows_by_token(MADE["WordPiece"], MADE["byte-level BPE"])
    assert rows["Ł"] == []  # a byte that is no character


def test_surfaces() -> None:
    found = {name: read_surfaces(tokenizer) for name, tokenizer in MADE.items()}
    vocabularies = {name: tokenizer.get_vocab() for name, tokenizer in MADE.items()}
    assert found["WordPiece"][vocabularies["WordPiece"]["play"]] == Surface("play", True)
    assert found["WordPiece"][vocabularies["WordPiece"]["##a"]] == Surface("a", False)
    assert found["byte-level BPE"][vocabularies["byte-level BPE"]["a"]] == Surface("a", False)
    assert vocabularies["byte-level BPE"]["Ġ"] not in found["byte-level BPE"]
    assert Surface("play", True).in_text == " play"
