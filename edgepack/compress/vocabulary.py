"""A smaller vocabulary: which tokens to keep, and a tokenizer that has only those.

Kept always: special tokens, every token that the training data uses, every single character, and tokens with a
character that has no token of its own there. A string whose characters all have one (at a word's start and, as `##…`,
behind it; in BERT's uncased English vocabulary every known character has both) never becomes unknown. WordPiece takes
the longest match first; the longest match of a kept token is still the longest when others are gone, so any text made
of kept tokens tokenizes as before. More tokens are kept in the order in which general text uses them, where such text
is given, else in the vocabulary's own order, which in BERT's vocabularies is roughly that of frequency.

Kept tokens are numbered in the order of their strings: the tokenizer asset stores a sorted vocabulary without
ids. Only WordPiece is trimmed: in BPE and Unigram other pieces would change when one goes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from edgepack.errors import InputError


def can_trim(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Whether tokens can go without changing how the others are found."""
    return bool(json.loads(tokenizer.backend_tokenizer.to_str())["model"]["type"] == "WordPiece")


def required_ids(tokenizer: PreTrainedTokenizerFast, token_counts: np.ndarray) -> set[int]:
    """Ids never given up: special tokens, tokens used in training, characters, tokens that characters cannot spell."""
    prefix = json.loads(tokenizer.backend_tokenizer.to_str())["model"].get("continuing_subword_prefix", "")
    vocabulary = tokenizer.get_vocab()
    characters = {i for token, i in vocabulary.items() if len(token.removeprefix(prefix)) == 1}
    unspellable = {i for token, i in vocabulary.items() if not _can_spell(token, prefix, vocabulary)}
    added = set(tokenizer.added_tokens_decoder) | set(tokenizer.all_special_ids)
    return characters | unspellable | added | set(np.flatnonzero(token_counts).tolist())


def _can_spell(token: str, prefix: str, vocabulary: Mapping[str, int]) -> bool:
    """Whether single characters of the vocabulary make up the token; BERT's `[unused…]` fillers occur in no text."""
    inner = prefix != "" and token.startswith(prefix)
    text = token.removeprefix(prefix)
    pieces = [prefix + text[0] if inner else text[0], *(prefix + character for character in text[1:])] if text else []
    return token.startswith("[unused") or all(piece in vocabulary for piece in pieces)


def general_order(tokenizer: PreTrainedTokenizerFast, text_counts: np.ndarray | None) -> list[int]:
    """Ids, the generally useful ones first; without BERT's `[unused…]` fillers, which no text can produce."""
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    ids = [number for token, number in vocabulary if not token.startswith("[unused")]
    return ids if text_counts is None else sorted(ids, key=lambda number: -text_counts[number])  # stable: ties by id


def choose_ids(
    tokenizer: PreTrainedTokenizerFast, required: set[int], order: Sequence[int], size: int
) -> tuple[list[int], int]:
    """`size` ids (or all required ones, if those are more) by their tokens' strings, and how many of `order` are in."""
    kept, taken = set(required), 0
    while len(kept) < size and taken < len(order):
        kept.add(order[taken])
        taken += 1
    tokens = {number: token for token, number in tokenizer.get_vocab().items()}
    return sorted(kept, key=lambda number: tokens[number]), taken


def trim_tokenizer(tokenizer: PreTrainedTokenizerFast, kept_ids: Sequence[int]) -> PreTrainedTokenizerFast:
    """A tokenizer with only the kept tokens, renumbered from 0 in the order given."""
    document = json.loads(tokenizer.backend_tokenizer.to_str())
    if document["model"]["type"] != "WordPiece":
        raise InputError(f"a {document['model']['type']} vocabulary cannot be trimmed; only WordPiece can")
    new_id = {old: new for new, old in enumerate(kept_ids)}
    vocabulary = document["model"]["vocab"]
    document["model"]["vocab"] = dict(
        sorted(((token, new_id[old]) for token, old in vocabulary.items() if old in new_id), key=lambda item: item[1])
    )
    for added in document["added_tokens"]:
        added["id"] = new_id[added["id"]]
    document["added_tokens"].sort(key=lambda added: added["id"])
    document["post_processor"] = _renumber(document["post_processor"], new_id)
    trimmed = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(document)))
    specials = {name: token for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}
    trimmed.add_special_tokens(specials)
    trimmed.model_input_names = tokenizer.model_input_names
    return trimmed


def _renumber(processor: dict[str, Any] | None, new_id: dict[int, int]) -> dict[str, Any] | None:
    """The post-processor with its special tokens' new ids (TemplateProcessing, BertProcessing, RobertaProcessing)."""
    if processor is None:
        return None
    changed = dict(processor)
    if processor["type"] == "Sequence":
        changed["processors"] = [_renumber(each, new_id) for each in processor["processors"]]
    for name in ("sep", "cls"):
        if name in processor:
            changed[name] = [processor[name][0], new_id[processor[name][1]]]
    if "special_tokens" in processor:
        changed["special_tokens"] = {
            token: {**entry, "ids": [new_id[i] for i in entry["ids"]]}
            for token, entry in processor["special_tokens"].items()
        }
    return changed
