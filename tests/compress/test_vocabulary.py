"""Trimmed vocabularies: kept text tokenizes as before, nothing becomes unknown, ids stay consistent."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE, Unigram, WordPiece
from tokenizers.pre_tokenizers import BertPreTokenizer, ByteLevel, Metaspace
from tokenizers.processors import BertProcessing, RobertaProcessing, TemplateProcessing
from tokenizers.trainers import BpeTrainer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from edgepack.compress.vocabulary import choose_ids, general_order, required_ids, trim_tokenizer, why_whole
from edgepack.demo.base import SPECIAL_TOKENS, make_tokenizer
from edgepack.errors import InputError
from edgepack.tokenizer.asset import asset_bytes, backend_tokenizer
from edgepack.tokenizer.byte_pairs import describe_merges
from edgepack.tokenizer.reader import read_tokenizer_asset
from tests.teacher.tokenizers import TOKENIZERS

SENTENCES = ["turn the lights on", "play some music now", "turning lighter musically", "the alarm rings at seven"]
TOKENIZER = make_tokenizer(SENTENCES)
USED = np.bincount(TOKENIZER("turn the lights on")["input_ids"], minlength=len(TOKENIZER))


def trimmed(size: int) -> tuple[PreTrainedTokenizerFast, list[int]]:
    required = required_ids(TOKENIZER, USED)
    ids, _ = choose_ids(TOKENIZER, required, general_order(TOKENIZER, None), size)
    return trim_tokenizer(TOKENIZER, ids), ids


@given(st.lists(st.sampled_from(" ".join(SENTENCES).split()), min_size=1, max_size=6), st.integers(0, 200))
@settings(deadline=None)
def test_text_of_kept_tokens_tokenizes_as_before(words: list[str], size: int) -> None:
    smaller, ids = trimmed(size)
    before, after = TOKENIZER(" ".join(words))["input_ids"], smaller(" ".join(words))["input_ids"]
    if set(before) <= set(ids):
        assert [ids[i] for i in after] == before
    unknown = TOKENIZER.unk_token_id
    assert (smaller.unk_token_id in after) == (unknown in before)


@given(st.text(max_size=40))
@settings(deadline=None)
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
    assert why_whole(bpe) is not None
    assert why_whole(TOKENIZER) is None
    with pytest.raises(InputError, match="without the 256 bytes"):
        trim_tokenizer(bpe, [0, 1])


LETTERS = "abcde"
PIECES = st.text(LETTERS, min_size=2, max_size=4)
TEXTS = st.text(LETTERS + " .", max_size=30)


def make_wordpiece(pieces: list[str]) -> PreTrainedTokenizerFast:
    """A tokenizer with exactly these pieces behind the special tokens."""
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys([*SPECIAL_TOKENS, *pieces]))}
    model = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    model.pre_tokenizer = BertPreTokenizer()
    model.post_processor = BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    return PreTrainedTokenizerFast(tokenizer_object=model, **names)


@st.composite
def closed_tokenizers(draw: st.DrawFn) -> PreTrainedTokenizerFast:
    """Every character has both its tokens; longer pieces at random."""
    starts, inner = draw(st.sets(PIECES, max_size=12)), draw(st.sets(PIECES, max_size=12))
    characters = [prefix + c for prefix in ("", "##") for c in LETTERS + "."]
    return make_wordpiece([*characters, *sorted(starts), *(f"##{piece}" for piece in sorted(inner))])


def trim_at_random(
    data: st.DataObject, tokenizer: PreTrainedTokenizerFast
) -> tuple[PreTrainedTokenizerFast, list[int]]:
    counts = np.array(data.draw(st.lists(st.integers(0, 1), min_size=len(tokenizer), max_size=len(tokenizer))))
    required = required_ids(tokenizer, counts)
    assert set(np.flatnonzero(counts).tolist()) <= required
    kept, _ = choose_ids(tokenizer, required, general_order(tokenizer, None), 0)
    assert set(kept) == required
    return trim_tokenizer(tokenizer, kept), kept


@given(closed_tokenizers(), TEXTS, st.data())
@settings(deadline=None)
def test_any_vocabulary_trims_to_one_that_spells_the_same_strings(
    tokenizer: PreTrainedTokenizerFast, text: str, data: st.DataObject
) -> None:
    smaller, kept = trim_at_random(data, tokenizer)
    before, after = tokenizer(text)["input_ids"], smaller(text)["input_ids"]
    assert smaller.unk_token_id not in after
    pieces = smaller.convert_ids_to_tokens(after)[1:-1]
    assert "".join(piece.removeprefix("##") for piece in pieces) == text.replace(" ", "")
    if set(before) <= set(kept):
        assert [kept[i] for i in after] == before


@given(closed_tokenizers(), TEXTS, st.data())
@settings(deadline=None, max_examples=30)
def test_the_trimmed_tokenizer_survives_its_file(
    tokenizer: PreTrainedTokenizerFast, text: str, data: st.DataObject
) -> None:
    smaller, _ = trim_at_random(data, tokenizer)
    with TemporaryDirectory() as folder:
        smaller.save_pretrained(folder)
        again = AutoTokenizer.from_pretrained(folder)
        document = Tokenizer.from_file(f"{folder}/tokenizer.json")
    assert again.get_vocab() == smaller.get_vocab()
    assert document.encode(text).ids == again(text)["input_ids"] == smaller(text)["input_ids"]
    assert again.all_special_ids == smaller.all_special_ids


def test_the_saved_tokenizer_still_tells_the_texts_of_a_pair_apart(tmp_path: Path) -> None:
    smaller, _ = trimmed(0)
    smaller.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)("the lights", "on")
    assert again["token_type_ids"] == TOKENIZER("the lights", "on")["token_type_ids"]


def test_words_of_characters_without_a_token_of_their_own_are_kept() -> None:
    tokenizer = make_wordpiece(["a", "##a", "b", "##b", "ab", "é", "aé", "##éb", "éa"])
    required = required_ids(tokenizer, np.zeros(len(tokenizer)))
    dropped = set(range(len(tokenizer))) - required
    assert tokenizer.convert_ids_to_tokens(sorted(dropped)) == ["ab", "éa"]  # "é", "##a" spell the last
    smaller = trim_tokenizer(tokenizer, choose_ids(tokenizer, required, [], 0)[0])
    for word in ("aé", "aéb", "ab", "éa"):
        assert tokenizer.unk_token_id not in tokenizer(word)["input_ids"]
        assert smaller.unk_token_id not in smaller(word)["input_ids"]


@given(st.lists(st.integers(0, 5), min_size=len(TOKENIZER), max_size=len(TOKENIZER)), st.integers(0, 200), st.data())
@settings(deadline=None, max_examples=40)
def test_the_task_comes_first_then_general_text_by_frequency(used: list[int], size: int, data: st.DataObject) -> None:
    task = np.array(used) * (np.arange(len(used)) % 3 == 0)
    text = np.array(data.draw(st.permutations(range(len(used)))))
    required = required_ids(TOKENIZER, task)
    ids, _ = choose_ids(TOKENIZER, required, general_order(TOKENIZER, text), size)
    assert len(ids) == max(len(required), min(size, len(TOKENIZER)))
    assert set(np.flatnonzero(task).tolist()) <= required <= set(ids)
    more, left = set(ids) - required, set(range(len(TOKENIZER))) - set(ids)
    assert all(text[i] > text[j] for i in more for j in left)


def make_byte_pairs() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    alphabet = ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        SENTENCES * 3, BpeTrainer(vocab_size=320, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>"])
    ends = [(token, tokenizer.token_to_id(token)) for token in ("</s>", "<s>")]
    tokenizer.post_processor = RobertaProcessing(*ends)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, cls_token="<s>", sep_token="</s>", pad_token="<pad>")


def make_unigram(byte_fallback: bool) -> PreTrainedTokenizerFast:
    pieces = ["<unk>", "▁", *"turnplayhelihgsomucwd", "▁turn", "▁the", "the", "▁light", "s", "▁on", "play", "▁pl", "ay"]
    rest = [f"<0x{byte:02X}>" for byte in range(256)] if byte_fallback else []
    scored = [(piece, -1.0 - 0.37 * (i % 11)) for i, piece in enumerate([*dict.fromkeys(pieces), *rest])]
    tokenizer = Tokenizer(Unigram(scored, unk_id=0, byte_fallback=byte_fallback))
    tokenizer.pre_tokenizer = Metaspace()
    tokenizer.add_special_tokens(["<s>", "<pad>"])
    number = tokenizer.token_to_id("<s>")
    tokenizer.post_processor = TemplateProcessing("<s> $A", "<s> $A <s> $B", special_tokens=[("<s>", number)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, cls_token="<s>", pad_token="<pad>", unk_token="<unk>")


OTHER_KINDS = {
    "byte pairs": make_byte_pairs(),
    "unigram": make_unigram(byte_fallback=False),
    "unigram with bytes": make_unigram(byte_fallback=True),
}
WORDS = st.lists(st.sampled_from([*" ".join(SENTENCES).split(), "é", "🎵", "mus", "t"]), max_size=6).map(" ".join)


@pytest.mark.parametrize("kind", OTHER_KINDS)
@given(used=st.lists(WORDS, max_size=3), text=WORDS | st.text(max_size=20), extra=st.integers(0, 40))
@settings(deadline=None, max_examples=60)
def test_other_kinds_tokenize_kept_text_as_before(kind: str, used: list[str], text: str, extra: int) -> None:
    tokenizer = OTHER_KINDS[kind]
    counts = np.zeros(len(tokenizer), np.int64)
    for each in used:
        counts += np.bincount(tokenizer(each)["input_ids"], minlength=len(counts))
    required = required_ids(tokenizer, counts)
    kept, _ = choose_ids(tokenizer, required, general_order(tokenizer, None), len(required) + extra)
    smaller = trim_tokenizer(tokenizer, kept)
    assert len(smaller) == len(kept)
    assert smaller.pad_token_id == kept.index(tokenizer.pad_token_id)
    for each in [*used, text]:
        before, after = tokenizer(each, return_offsets_mapping=True), smaller(each, return_offsets_mapping=True)
        if set(before["input_ids"]) <= set(kept):
            assert [kept[i] for i in after["input_ids"]] == before["input_ids"]
            assert after["offset_mapping"] == before["offset_mapping"]
        if tokenizer.unk_token_id is not None:  # and nothing becomes unknown
            unknown = before["input_ids"].count(tokenizer.unk_token_id)
            assert after["input_ids"].count(smaller.unk_token_id) == unknown


def test_byte_pairs_are_numbered_as_the_asset_stores_them() -> None:
    tokenizer = OTHER_KINDS["byte pairs"]
    counts = np.bincount(tokenizer("turn the lights on")["input_ids"], minlength=len(tokenizer))
    kept, _ = choose_ids(tokenizer, required_ids(tokenizer, counts), [], 0)
    smaller = trim_tokenizer(tokenizer, kept)
    backend = backend_tokenizer(smaller)
    data = describe_merges(backend, json.loads(backend.to_str()))
    assert data.ids == tuple(range(len(data.ids)))
    assert len(kept) < len(tokenizer)
    reader = read_tokenizer_asset(asset_bytes(smaller))
    assert reader.encode("turn the lights on é").input_ids == smaller("turn the lights on é")["input_ids"]


@pytest.mark.parametrize("name", TOKENIZERS)
def test_added_tokens_that_the_model_lacks_keep_their_own_ids(name: str) -> None:
    tokenizer = TOKENIZERS[name]()
    tokenizer.add_tokens(["@user", "!first"])
    order = general_order(tokenizer, None)
    for size in (0, len(tokenizer)):
        ids, _ = choose_ids(tokenizer, required_ids(tokenizer, np.zeros(len(tokenizer))), order, size)
        smaller = trim_tokenizer(tokenizer, ids)
        vocabulary, before = smaller.get_vocab(), tokenizer.get_vocab()
        assert sorted(vocabulary.values()) == list(range(len(ids)))
        assert all(ids[number] == before[token] for token, number in vocabulary.items())
        assert [ids[i] for i in smaller("@user")["input_ids"]] == tokenizer("@user")["input_ids"]


def test_a_token_that_no_merge_makes_comes_before_added_ones() -> None:
    tokenizer = TOKENIZERS["byte-level BPE"]()
    document = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary = document["model"]["vocab"]
    vocabulary["<|endoftext|>"] = 1 + max(vocabulary.values())  # as in GPT-2's
    bare = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(document)), unk_token="<unk>")
    bare.add_tokens(["<end>"])
    ids, _ = choose_ids(bare, required_ids(bare, np.zeros(len(bare))), general_order(bare, None), len(bare))
    smaller = trim_tokenizer(bare, ids).get_vocab()
    assert {token: ids[number] for token, number in smaller.items()} == bare.get_vocab()
