"""A smaller vocabulary: which tokens to keep, and a tokenizer that has only those.

A text whose tokens are all kept tokenizes as before; any other takes more tokens. What that needs differs:

- **WordPiece** takes the longest match first; a kept token is still the longest match when others are gone.
  Kept besides: every single character, and tokens with a character that has no token of its own there. A string whose
  characters all have one (at a word's start and, as `##…`, behind it; in BERT's uncased English vocabulary every known
  character has both) never becomes unknown.
- **Byte-level BPE** makes a token out of others, merge by merge: with a token all that its merges go through are kept,
  and the 256 bytes. A merge that fired before is then still there, and one that is gone had not fired.
- **Unigram** takes the split of the highest score: a split into kept pieces is still the highest when others are gone.
  Kept besides: single characters, bytes that unknown characters fall back to, and the piece of the lowest score, which
  sets the score of what is unknown.

Special tokens and tokens that the training data uses are always kept. More are kept in the order in which general text
uses them, where such text is given, else in the vocabulary's own order, which is roughly that of frequency. Kept
tokens are numbered as the tokenizer asset stores them in fewest bytes: by their strings, in BPE by their merges.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from edgepack.errors import InputError
from edgepack.tokenizer.byte_pairs import OTHER_MERGING, byte_tokens, split_merge

BYTE_PIECE = re.compile(r"<0x[0-9A-F]{2}>")  # a byte, in Unigram


def why_whole(tokenizer: PreTrainedTokenizerFast) -> str | None:
    """Why no token can go without changing how the others are found; None where some can."""
    return _why_whole(_model(tokenizer))


def _why_whole(model: dict[str, Any]) -> str | None:
    """Why this vocabulary cannot be trimmed; None where it can."""
    kind = model["type"]
    if kind in ("WordPiece", "Unigram"):
        return None
    if kind != "BPE":
        return f"a {kind} vocabulary cannot be trimmed; WordPiece, byte-level BPE and Unigram can"
    if not all(token in model["vocab"] for token in byte_tokens()):
        return "a BPE vocabulary without the 256 bytes cannot be trimmed; only byte-level BPE can"
    set_here = [option for option in OTHER_MERGING if model.get(option)]
    return f"a BPE vocabulary with {set_here[0]} cannot be trimmed" if set_here else None


def _model(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    model: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    return model


def required_ids(tokenizer: PreTrainedTokenizerFast, token_counts: np.ndarray) -> set[int]:
    """Ids never given up: special tokens, tokens used in training, and what the kind of vocabulary needs."""
    model = _model(tokenizer)
    added = set(tokenizer.added_tokens_decoder) | set(tokenizer.all_special_ids)
    used = added | set(np.flatnonzero(token_counts).tolist())
    if model["type"] == "BPE":
        return _with_parts(used | {model["vocab"][token] for token in byte_tokens()}, _parts(model))
    if model["type"] == "Unigram":
        return used | _needed_pieces(model)
    prefix = model.get("continuing_subword_prefix", "")
    vocabulary = tokenizer.get_vocab()
    characters = {i for token, i in vocabulary.items() if len(token.removeprefix(prefix)) == 1}
    unspellable = {i for token, i in vocabulary.items() if not _can_spell(token, prefix, vocabulary)}
    return characters | unspellable | used


def _needed_pieces(model: dict[str, Any]) -> set[int]:
    """Unigram: single characters, bytes, what stands for the unknown, and the piece of the lowest score."""
    pieces = model["vocab"]
    single = {i for i, (piece, _) in enumerate(pieces) if len(piece) == 1 or BYTE_PIECE.fullmatch(piece)}
    lowest = min(range(len(pieces)), key=lambda i: pieces[i][1])
    return single | {lowest} | ({model["unk_id"]} - {None})


def _parts(model: dict[str, Any]) -> dict[int, set[int]]:
    """BPE: for each token that merges make, the tokens that any of them joins."""
    parts: dict[int, set[int]] = {}
    if model["type"] == "BPE":
        ids = model["vocab"]
        for merge in model["merges"]:
            left, right = split_merge(merge)
            parts.setdefault(ids[left + right], set()).update((ids[left], ids[right]))
    return parts


def _with_parts(kept: set[int], parts: Mapping[int, set[int]]) -> set[int]:
    """These ids and all that their merges go through."""
    found, waiting = set(kept), list(kept)
    while waiting:
        new = parts.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


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
    model = _model(tokenizer)
    parts = _parts(model)
    kept, taken = set(required), 0
    while len(kept) < size and taken < len(order):
        kept |= _with_parts({order[taken]}, parts)
        taken += 1
    return sorted(kept, key=_places(tokenizer, model).__getitem__), taken


def _places(tokenizer: PreTrainedTokenizerFast, model: dict[str, Any]) -> dict[int, tuple[int, str]]:
    """What ids are sorted by: the string, in BPE the merge; added tokens that the model has not come last.

    The library numbers those behind the model's own tokens, whatever their file says.
    """
    vocabulary = tokenizer.get_vocab()
    if model["type"] == "WordPiece":
        return {number: (int(token not in model["vocab"]), token) for token, number in vocabulary.items()}
    if model["type"] == "Unigram":
        return {number: (int(number >= len(model["vocab"])), token) for token, number in vocabulary.items()}
    symbols = byte_tokens() + ["".join(split_merge(merge)) for merge in model["merges"]]
    ranks = {token: rank for rank, token in reversed(list(enumerate(symbols)))}
    for token in vocabulary.keys() - ranks.keys():
        ranks[token] = len(symbols) + (token not in model["vocab"])
    return {number: (ranks[token], token) for token, number in vocabulary.items()}


def trim_tokenizer(tokenizer: PreTrainedTokenizerFast, kept_ids: Sequence[int]) -> PreTrainedTokenizerFast:
    """A tokenizer with only the kept tokens, renumbered from 0 in the order given."""
    document = json.loads(tokenizer.backend_tokenizer.to_str())
    reason = _why_whole(document["model"])
    if reason is not None:
        raise InputError(reason)
    new_id = {old: new for new, old in enumerate(kept_ids)}
    _trim_model(document["model"], new_id)
    for added in document["added_tokens"]:
        added["id"] = new_id[added["id"]]
    document["added_tokens"].sort(key=lambda added: added["id"])
    document["post_processor"] = _renumber(document["post_processor"], new_id)
    trimmed = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(document)),
        model_input_names=list(tokenizer.model_input_names),  # set later, it would not be saved
    )
    specials = {name: token for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}
    trimmed.add_special_tokens(specials)
    return trimmed


def _trim_model(model: dict[str, Any], new_id: Mapping[int, int]) -> None:
    """Take the other tokens out of a tokenizer.json's model."""
    vocabulary = model["vocab"]
    if model["type"] == "Unigram":
        kept = sorted((old for old in new_id if old < len(vocabulary)), key=new_id.__getitem__)
        model["vocab"] = [vocabulary[old] for old in kept]
        model["unk_id"] = None if model["unk_id"] is None else new_id[model["unk_id"]]
        return
    left = {token: new_id[old] for token, old in vocabulary.items() if old in new_id}
    model["vocab"] = dict(sorted(left.items(), key=lambda item: item[1]))
    if model["type"] == "BPE":
        pairs = ((merge, *split_merge(merge)) for merge in model["merges"])
        model["merges"] = [merge for merge, one, two in pairs if one in left and two in left and one + two in left]


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
