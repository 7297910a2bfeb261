"""`tokenizer.json` and `tokenizer.bin` hold one tokenizer: the same tokens under the same ids, not on goldens alone.

The asset's Unicode tables are compared with what the options of `tokenizer.json` do to the scripts in daily use; the
whole of Unicode would take two seconds. A bundle's tokenizer.json neither pads nor truncates: transformers.js and
Python would do it for every text, and the manifest says how.
"""

from __future__ import annotations

from typing import Any

from tokenizers.normalizers import BertNormalizer

from edgepack.bundle.layout import TOKENIZER_NAME
from edgepack.bundle.verdict import Check, faults_check
from edgepack.errors import bare
from edgepack.evidence.opened import OpenBundle
from edgepack.tokenizer.asset import ASSET_NAME, WordPieceData, describe_words, is_bert_wordpiece, table_options
from edgepack.tokenizer.library import tokenizers_as_input_errors
from edgepack.tokenizer.unicode_tables import UnicodeTables, ask, split_classes

COMPARED = (range(0x3400), range(0xA000, 0xAC00), range(0xFB00, 0x10000))  # no ideographs, no Hangul, no private ones


def tokenizer_check(bundle: OpenBundle) -> Check:
    """Both files of the tokenizer compared, and with the inputs that the model takes."""
    document = bundle.tokenizer_document
    set_here = [key for key in ("padding", "truncation") if document.get(key)]
    problems = [f"{TOKENIZER_NAME} sets {key}; the manifest says it" for key in set_here]
    asset = bundle.asset
    if is_bert_wordpiece(document) != (asset is not None):
        problems.append(f"{TOKENIZER_NAME} {'can' if asset is None else 'cannot'} ship as {ASSET_NAME}")
    elif asset is not None:
        with tokenizers_as_input_errors(TOKENIZER_NAME):
            expected = describe_words(bundle.tokenizer, document)
        problems += asset_faults(asset.data, expected)
        problems += table_faults(asset.data.tables, *table_options(document))
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
    for name in ("prefix", "unknown_id", "max_word_length", "added", "single", "pair"):
        if (one := getattr(asset, name)) != (other := getattr(expected, name)):
            faults.append(f"{name} differs between {ASSET_NAME} and {TOKENIZER_NAME}{in_words(one, other)}")
    return faults


def table_faults(
    tables: UnicodeTables, clean_text: bool, handle_chinese_chars: bool, strip_accents: bool, lowercase: bool
) -> list[str]:
    """What the asset's tables do otherwise than the reference's normalizer and pre-tokenizer."""
    points = [point for scripts in COMPARED for point in scripts]
    cleaned = ask(BertNormalizer(clean_text, False, False, False).normalize_str, points)
    removed = {point for point, text in cleaned.items() if not text}
    folding = BertNormalizer(False, False, strip_accents, lowercase).normalize_str
    folded = ask(folding, [point for point in points if point not in removed])
    padding = ask(BertNormalizer(False, True, False, False).normalize_str, points) if handle_chinese_chars else {}
    spaces, punctuation = split_classes(points)
    looked_at = frozenset(points)
    pairs = {
        "removed": (tables.removed & looked_at, removed),
        "folds": (
            {point: fold for point, fold in tables.folds.items() if point in looked_at},
            {point: tuple(map(ord, text)) for point, text in folded.items()},
        ),
        "padded": (tables.padded & looked_at, {point for point, text in padding.items() if len(text) == 3}),
        "spaces": (tables.spaces & looked_at, spaces),
        "punctuation": (tables.punctuation & looked_at, punctuation),
    }
    return [
        f"{what} differ between {ASSET_NAME} and {TOKENIZER_NAME}" for what, (one, two) in pairs.items() if one != two
    ]


def in_words(one: Any, other: Any) -> str:
    """Both values, where they are short."""
    short = isinstance(one, int | str) and isinstance(other, int | str)
    return f": {bare(str(one))} and {bare(str(other))}" if short else ""
