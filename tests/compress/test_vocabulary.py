"""Trimmed vocabularies: kept text tokenizes as before, nothing becomes unknown, ids stay consistent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from edgepack.compress.vocabulary import can_trim, choose_ids, general_order, required_ids, trim_tokenizer
from edgepack.demo.base import make_tokenizer
from edgepack.errors import InputError

SENTENCES = ["turn the lights on", "play some music now", "turning lighter musically", "the alarm rings at seven"]
TOKENIZER = make_tokenizer(SENTENCES)
USED = np.bincount(TOKENIZER("turn the lights on")["input_ids"], minlength=len(TOKENIZER))


def trimmed(size: int) -> tuple[PreTrainedTokenizerFast, list[int]]:
    required = required_ids(TOKENIZER, USED)
    ids, _ = choose_ids(TOKENIZER, required, general_order(TOKENIZER, None), size)
    return trim_tokenizer(TOKENIZER, ids), ids


@given(st.lists(st.sampled_from(" ".join(SENTENCES).split()), min_size=1, max_size=6), st.integers(0, 200))
def test_text_of_kept_tokens_tokenizes_as_before(words: list[str], size: int) -> None:
    smaller, ids = trimmed(size)
    before, after = TOKENIZER(" ".join(words))["input_ids"], smaller(" ".join(words))["input_ids"]
    if set(before) <= set(ids):
        assert [ids[i] for i in after] == before
    unknown = TOKENIZER.unk_token_id
    assert (smaller.unk_token_id in after) == (unknown in before)


@given(st.text(max_size=40))
def test_no_string_becomes_unknown(text: str) -> None:
    smaller, _ = trimmed(0)
    unknown = TOKENIZER(text)["input_ids"].count(TOKENIZER.unk_token_id)
    assert smaller(text)["input_ids"].count(smaller.unk_token_id) == unknown


def test_special_tokens_keep_their_roles_and_ids_follow_the_strings() -> None:
    smaller, ids = trimmed(0)
    tokens = [token for token, _ in sorted(smaller.get_vocab().items(), key=lambda item: item[1])]
    assert tokens == sorted(tokens)
    assert len(smaller) == len(ids) < len(TOKENIZER)
    for name in ("pad", "unk", "cls", "sep", "mask"):
        assert getattr(smaller, f"{name}_token") == getattr(TOKENIZER, f"{name}_token")
        assert ids[getattr(smaller, f"{name}_token_id")] == getattr(TOKENIZER, f"{name}_token_id")
    pair = smaller("the lights", "on")
    assert [ids[i] for i in pair["input_ids"]] == TOKENIZER("the lights", "on")["input_ids"]
    assert pair["token_type_ids"] == TOKENIZER("the lights", "on")["token_type_ids"]


def test_general_text_decides_what_else_is_kept() -> None:
    counts = np.zeros(len(TOKENIZER))
    music = TOKENIZER.convert_tokens_to_ids("music")
    counts[music] = 5
    required = required_ids(TOKENIZER, USED)
    assert music not in required
    ids, taken = choose_ids(TOKENIZER, required, general_order(TOKENIZER, counts), len(required) + 1)
    assert music in ids
    assert taken == 1
    everything, _ = choose_ids(TOKENIZER, required, general_order(TOKENIZER, None), 10**6)
    assert len(everything) == len(TOKENIZER)


def test_other_tokenizers_are_not_trimmed() -> None:
    bpe = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")])))
    assert not can_trim(bpe)
    assert can_trim(TOKENIZER)
    with pytest.raises(InputError, match="only WordPiece"):
        trim_tokenizer(bpe, [0, 1])
