"""Whether a vocabulary can be this teacher's: its ids, its unknown token, its special tokens, and that it encodes.

Only what holds whatever the data is looks wrong here; `data_check.py` looks at the data.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from tokenizers import Tokenizer

from edgepack.errors import InputError, shown
from edgepack.teacher.checkpoint import Checkpoint
from edgepack.tokenizer.library import tokenizers_as_input_errors

NEEDS_UNKNOWN = ("WordPiece", "WordLevel")  # the others spell words in bytes, or say so when they meet one
RARE = "☃ ꙮ 𐍈"  # no vocabulary has them all; something must stand for them
PROBES = (
    "a",
    "The Quick brown fox, 12.5 times!",
    "café naïve Ångström İstanbul Straße",
    "cafe\u0301 か\u3099 한국어 中文 test中文test",
    "👩🏽‍🚀 ☺\ufe0f \u200b\u00ad \u202eabc\u202c",
    "שלום السلام हिन्दी ภาษาไทย",
    "no\u00a0break\u3000ideographic\u2028line\r\ntab\t",
    "ﬁne １２３ ½ № e-mail@example.com",
    "x" * 200,
    " leading",
    "",
    RARE,
)


def check_vocabulary(backend: Tokenizer, checkpoint: Checkpoint, file: str) -> None:
    """`InputError` where this tokenizer, read from `file`, cannot be the checkpoint's."""
    check_ids(backend, checkpoint)
    what, rows = f"checkpoint {checkpoint.name}", checkpoint.sizes.vocabulary
    document: dict[str, Any] = json.loads(backend.to_str())
    vocabulary = backend.get_vocab(with_added_tokens=True)
    _check_words(vocabulary, document, rows, file, what)
    _check_unknown(document["model"], vocabulary, file, what)
    if document["model"].get("dropout"):
        raise InputError(
            f"{what}: {file} says dropout {shown(document['model']['dropout'])}, which tokenizes at random; set it to "
            "null"
        )
    for token, number in _template_tokens(document.get("post_processor")):
        if vocabulary.get(token) != number:
            has = f"has it as {vocabulary[token]}" if token in vocabulary else "lacks it"
            raise InputError(
                f"{what}: {file} puts {shown(token)} with id {shown(number)} around each text, and its vocabulary "
                f"{has}; give the tokenizer that the teacher was trained with"
            )
    if not backend.num_special_tokens_to_add(False):
        raise InputError(
            f"{what}: {file} puts no special token around a text (no [CLS], no [SEP]): its post_processor is missing; "
            "save the tokenizer of the training again"
        )
    _check_encoding(backend, checkpoint, _unknown_ids(document["model"], vocabulary), file, what)


def check_ids(backend: Tokenizer, checkpoint: Checkpoint) -> None:
    """`InputError` for ids that the model's word table has no row for, and for two tokens with one id."""
    vocabulary = backend.get_vocab(with_added_tokens=True)
    rows, what = checkpoint.sizes.vocabulary, f"checkpoint {checkpoint.name}"
    last = max(vocabulary, key=lambda token: vocabulary[token], default="")
    if vocabulary and vocabulary[last] >= rows:
        raise InputError(
            f"{what}: the tokenizer has {len(vocabulary)} tokens, {shown(last)} with id {vocabulary[last]}, the model "
            f"{rows}; they are not of one checkpoint"
        )
    owners: dict[int, str] = {}
    for token, number in vocabulary.items():
        if number in owners:
            raise InputError(
                f"{what}: the tokens {shown(owners[number])} and {shown(token)} share the id {number}; give the "
                "tokenizer that the teacher was trained with"
            )
        owners[number] = token


def _check_words(vocabulary: Mapping[str, int], document: Mapping[str, Any], rows: int, file: str, what: str) -> None:
    """There are words, not special tokens alone, nor single letters alone before a table for far more."""
    special = {token["content"] for token in document["added_tokens"]}
    words = [t for t in vocabulary if t not in special and not (t[:1] + t[-1:] in ("[]", "<>") and len(t) > 2)]
    prefix = document["model"].get("continuing_subword_prefix") or "##"
    letters = all(len(word.removeprefix(prefix)) <= 1 for word in words)
    if not words or (letters and 2 * len(vocabulary) < rows):
        only = "single letters only" if words else "special tokens only"
        raise InputError(
            f"{what}: the tokenizer's vocabulary ({file}) has {len(vocabulary)} tokens, {only}, and the model's word "
            f"table {rows} rows; give the tokenizer that the teacher was trained with"
        )


def _check_unknown(model: Mapping[str, Any], vocabulary: Mapping[str, int], file: str, what: str) -> None:
    unknown = model.get("unk_token")
    if model["type"] in NEEDS_UNKNOWN and not unknown:
        raise InputError(
            f"{what}: {file} names no unknown token (unk_token), so words that it lacks have no id; add it"
        )
    if unknown and unknown not in vocabulary:
        raise InputError(
            f"{what}: the unknown token {shown(unknown)} of {file} is not in its vocabulary; correct unk_token, or "
            "give the tokenizer that the teacher was trained with"
        )


def _template_tokens(processor: Any) -> Iterator[tuple[str, int]]:
    """Special tokens of a post-processor, with the ids that it gives them."""
    if not isinstance(processor, dict):
        return
    for each in processor.get("processors") or ():
        yield from _template_tokens(each)
    for role in ("cls", "sep"):
        if role in processor:
            yield processor[role][0], processor[role][1]
    for entry in (processor.get("special_tokens") or {}).values():
        yield from zip(entry["tokens"], entry["ids"], strict=False)


def check_padding(backend: Tokenizer, checkpoint: Checkpoint, file: str) -> None:
    """`InputError` where each text has the token of padding, which some families give no position of its own."""
    padding = checkpoint.config.pad_token_id
    if checkpoint.traits.offset_positions and checkpoint.is_carved and padding in backend.encode("a", "a").ids:
        token = shown(backend.id_to_token(padding))
        raise InputError(
            f"checkpoint {checkpoint.name}: pad_token_id is {padding} in config.json, and {file} has {token} with that "
            f"id in each text; a {checkpoint.family} counts no position for it, and a student does: give a checkpoint "
            "whose padding has a token of its own"
        )


def _check_encoding(backend: Tokenizer, checkpoint: Checkpoint, unknown: set[int], file: str, what: str) -> None:
    """Hard texts come out as ids and types that the model has."""
    types = int(getattr(checkpoint.config, "type_vocab_size", 0))
    with tokenizers_as_input_errors(f"{what}: {file} does not tokenize"):
        encodings = [backend.encode(text) for text in PROBES]
        encodings += [backend.encode(first, second) for first, second in pairwise(PROBES)]
        split = backend.encode(["a", "fox"], is_pretokenized=True)
    rare = encodings[len(PROBES) - 1]
    if all(flag for flag in rare.special_tokens_mask) and unknown.isdisjoint(rare.ids):
        raise InputError(
            f"{what}: {file} drops characters that its vocabulary lacks, since it has no unknown token; give the "
            "tokenizer that the teacher was trained with"
        )
    for encoding in (*encodings, split):
        if max(encoding.ids, default=0) >= checkpoint.sizes.vocabulary:
            raise InputError(
                f"{what}: {file} gives the id {max(encoding.ids)}, the model has {checkpoint.sizes.vocabulary}; they "
                "are not of one checkpoint"
            )
        if types > 1 and max(encoding.type_ids, default=0) >= types:
            raise InputError(
                f"{what}: {file} gives the token type {max(encoding.type_ids)}, the model has {types} (type_vocab_size)"
            )


def _unknown_ids(model: Mapping[str, Any], vocabulary: Mapping[str, int]) -> set[int]:
    token = model.get("unk_token") or ""
    return {vocabulary[token]} if token in vocabulary else set()
