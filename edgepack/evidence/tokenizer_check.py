"""`tokenizer.json` and `tokenizer.bin` hold one tokenizer: the same tokens under the same ids, not on goldens alone.

The asset's Unicode tables are compared with those that the options of `tokenizer.json` give. A bundle's tokenizer.json
neither pads nor truncates: transformers.js and Python would do it for every text, and the manifest says how.
"""

from __future__ import annotations

from typing import Any

from edgepack.bundle.layout import TOKENIZER_NAME
from edgepack.bundle.verdict import Check, faults_check
from edgepack.errors import bare
from edgepack.evidence.opened import OpenBundle
from edgepack.tokenizer.asset import ASSET_NAME, WordPieceData, describe, is_bert_wordpiece


def tokenizer_check(bundle: OpenBundle) -> Check:
    """Both files of the tokenizer compared, and with the inputs that the model takes."""
    document = bundle.tokenizer_document
    set_here = [key for key in ("padding", "truncation") if document.get(key)]
    problems = [f"{TOKENIZER_NAME} sets {key}; the manifest says it" for key in set_here]
    asset = bundle.asset
    if is_bert_wordpiece(document) != (asset is not None):
        problems.append(f"{TOKENIZER_NAME} {'can' if asset is None else 'cannot'} ship as {ASSET_NAME}")
    elif asset is not None:
        problems += asset_faults(asset.data, describe(bundle.tokenizer, document))
    ids = sorted(bundle.token_ids.values())
    if len(set(ids)) != len(ids):
        problems.append("two tokens have one id")
    return faults_check("tokenizer", problems, f"{len(ids)} tokens, the same in every file")


def asset_faults(asset: WordPieceData, expected: WordPieceData) -> list[str]:
    """What the asset holds otherwise than tokenizer.json."""
    faults = []
    pairs = zip(asset.vocabulary, expected.vocabulary, strict=False)
    others = sum(one != other for one, other in pairs) + abs(len(asset.vocabulary) - len(expected.vocabulary))
    if others:
        faults.append(f"{others} ids have other tokens in {ASSET_NAME} than in {TOKENIZER_NAME}")
    for name in ("prefix", "unknown_id", "max_word_length", "added", "single", "pair", "tables"):
        if (one := getattr(asset, name)) != (other := getattr(expected, name)):
            faults.append(f"{name} differs between {ASSET_NAME} and {TOKENIZER_NAME}{in_words(one, other)}")
    return faults


def in_words(one: Any, other: Any) -> str:
    """Both values, where they are short."""
    short = isinstance(one, int | str) and isinstance(other, int | str)
    return f": {bare(str(one))} and {bare(str(other))}" if short else ""
