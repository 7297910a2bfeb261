"""The tokenizer file that an app loads with the model, counted in shipped bytes.

`tokenizer.bin` holds BERT's WordPiece (`word_pieces.py`, version 1), byte-level byte pair encoding (`byte_pairs.py`)
or Unigram (`unigram.py`, both version 2), with the Unicode data baked in, so that every device gives the reference's
ids whatever its own Unicode tables say. Any other tokenizer ships as its own `tokenizer.json`, minified.

    magic "EPTK", u8 version, then zlib streams, each behind its packed length as u32 little-endian

A varint is LEB128, a signed one zigzag first, a string its byte count and UTF-8.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from edgepack.errors import InputError, shown
from edgepack.tokenizer import byte_pairs, unigram, word_pieces
from edgepack.tokenizer.asset_parts import FIRST, SPECIAL, template
from edgepack.tokenizer.byte_pairs import BytePairData, describe_merges, encode_merges, pattern_classes
from edgepack.tokenizer.normalizer import describe_steps
from edgepack.tokenizer.unigram import UnigramData, describe_pieces, encode_pieces, word_classes
from edgepack.tokenizer.word_pieces import WordPieceData, describe_word_pieces, describe_words, encode_word_pieces

if TYPE_CHECKING:  # half a second to import
    from transformers import PreTrainedTokenizerBase

MAGIC, WORD_PIECE_VERSION, VERSION = b"EPTK", 1, 2
ASSET_NAME, JSON_ASSET_NAME = "tokenizer.bin", "tokenizer.json"
KINDS = {  # of models, and what each cannot say
    "WordPiece": word_pieces.why_not,
    "BPE": byte_pairs.why_not,
    "Unigram": unigram.why_not,
}
AssetData = WordPieceData | BytePairData | UnigramData


DESCRIBE: dict[str, Callable[[Tokenizer, dict[str, Any]], AssetData]] = {
    "WordPiece": describe_words,
    "BPE": describe_merges,
    "Unigram": describe_pieces,
}
NOTHING_ELSE: dict[str, Any] = {  # of a tokenizer.json
    "version": "1.0",
    "added_tokens": [],
    "model": {"type": "Unigram", "unk_id": 0, "vocab": [["?", 0.0]], "byte_fallback": False},
    **dict.fromkeys(("truncation", "padding", "pre_tokenizer", "post_processor", "decoder")),
}


def write_tokenizer_asset(tokenizer: Tokenizer | PreTrainedTokenizerBase, folder: Path) -> Path:
    """Write the asset into `folder` under the name that its format has; return its path."""
    data = asset_bytes(tokenizer)
    path = folder / (ASSET_NAME if data.startswith(MAGIC) else JSON_ASSET_NAME)
    path.write_bytes(data)
    return path


def asset_bytes(tokenizer: Tokenizer | PreTrainedTokenizerBase) -> bytes:
    """The asset of this tokenizer; the same bytes every time."""
    backend = backend_tokenizer(tokenizer)
    document: dict[str, Any] = json.loads(backend.to_str())
    if why_json(document) is None:
        if is_word_piece(document):
            late = any(token["normalized"] for token in document["added_tokens"])
            version = VERSION if late else WORD_PIECE_VERSION
            return encode_word_pieces(describe_word_pieces(backend, document), MAGIC, version)
        steps = describe_steps(document["normalizer"])
        if document["model"]["type"] == "BPE":
            merges = replace(describe_merges(backend, document), tables=pattern_classes(), normalizer=steps)
            return encode_merges(merges, MAGIC, VERSION)
        pieces = replace(describe_pieces(backend, document), tables=word_classes(), normalizer=steps)
        return encode_pieces(pieces, MAGIC, VERSION)
    document["truncation"] = document["padding"] = None  # the manifest says these
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def backend_tokenizer(tokenizer: Tokenizer | PreTrainedTokenizerBase) -> Tokenizer:
    """A copy of the Rust tokenizer, without truncation and padding."""
    backend = tokenizer if isinstance(tokenizer, Tokenizer) else getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise InputError(f"tokenizer {type(tokenizer).__name__} is not a fast one; bring a tokenizer.json")
    copy = Tokenizer.from_str(backend.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy


def separator_of(tokenizer: Tokenizer | PreTrainedTokenizerBase) -> int | None:
    """The special token that follows a pair's first text, and never stands before it; None where there is none."""
    pieces = template(backend_tokenizer(tokenizer), pair=True)
    texts = [number for number, piece in enumerate(pieces) if piece.kind != SPECIAL]
    if [pieces[number].kind for number in texts] != [FIRST, FIRST + 1] or texts[1] == texts[0] + 1:
        return None
    between = pieces[texts[0] + 1].id
    return None if between in {piece.id for piece in pieces[: texts[0]]} else between


def is_word_piece(document: dict[str, Any]) -> bool:
    """Whether this tokenizer.json holds a WordPiece model."""
    return bool(document["model"]["type"] == "WordPiece")


def why_json(document: dict[str, Any]) -> str | None:
    """What of this tokenizer.json `tokenizer.bin` cannot say, so that it ships as JSON; None where there is nothing."""
    kind = document["model"]["type"]
    if kind not in KINDS:
        return f"its model is {kind}, not WordPiece, byte-level BPE or Unigram"
    tokens = [token["content"] for token in document["added_tokens"] if token["single_word"]]
    if tokens:
        return f"its added token {shown(tokens[0])} is matched as a whole word only (single_word)"
    return KINDS[kind](document) or _empty_token(document)


def _empty_token(document: dict[str, Any]) -> str | None:
    """Why an added token cannot be looked for: normalization leaves nothing of it."""
    late = [token["content"] for token in document["added_tokens"] if token["normalized"]]
    if not late or document["normalizer"] is None:
        return None
    normalizer = Tokenizer.from_str(json.dumps({"normalizer": document["normalizer"], **NOTHING_ELSE})).normalizer
    empty = [content for content in late if not normalizer.normalize_str(content)]
    return f"its normalizer leaves nothing of the added token {shown(empty[0])}" if empty else None


def describe_quickly(backend: Tokenizer, document: dict[str, Any]) -> AssetData:
    """The asset's contents but for the tables of Unicode, which are empty here and take seconds to ask for."""
    return DESCRIBE[document["model"]["type"]](backend, document)
