"""`tokenizer.json` and `tokenizer.bin` hold one tokenizer: the same tokens under the same ids, not on goldens alone.

The asset's Unicode tables are compared with what the options of `tokenizer.json` do to the scripts in daily use; the
whole of Unicode would take two seconds. A bundle's tokenizer.json neither pads nor truncates: transformers.js and
Python would do it for every text, and the manifest says how.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from tokenizers import Tokenizer
from tokenizers.normalizers import BertNormalizer

from edgepack.bundle.layout import TOKENIZER_NAME
from edgepack.bundle.verdict import Check, faults_check
from edgepack.errors import bare
from edgepack.evidence.opened import OpenBundle
from edgepack.tokenizer.asset import ASSET_NAME, AssetData, describe_quickly, why_json
from edgepack.tokenizer.byte_pairs import PatternClasses, classes_of
from edgepack.tokenizer.letters import letters_of, normalized
from edgepack.tokenizer.library import tokenizers_as_input_errors
from edgepack.tokenizer.normalizer import Step
from edgepack.tokenizer.unicode_tables import UnicodeTables, ask, ideographs, split_classes
from edgepack.tokenizer.unigram import WordClasses, word_classes_of
from edgepack.tokenizer.word_pieces import WordPieceData, table_options

LISTS = {
    "vocabulary": "ids have other tokens",
    "ids": "symbols have other ids",
    "merges": "merges join others",
    "results": "merges make others",
    "scores": "pieces have other scores",
}
COMPARED = (range(0x3400), range(0xA000, 0xAC00), range(0xFB00, 0x10000))  # no ideographs, no Hangul, no private ones


def tokenizer_check(bundle: OpenBundle) -> Check:
    """Both files of the tokenizer compared, and with the inputs that the model takes."""
    document = bundle.tokenizer_document
    set_here = [key for key in ("padding", "truncation") if document.get(key)]
    problems = [f"{TOKENIZER_NAME} sets {key}; the manifest says it" for key in set_here]
    asset = bundle.asset
    reason = why_json(document)
    if (reason is None) != (asset is not None):
        problems.append(f"{TOKENIZER_NAME} {'can' if asset is None else 'cannot'} ship as {ASSET_NAME}")
    elif asset is not None:
        with tokenizers_as_input_errors(TOKENIZER_NAME):
            expected = describe_quickly(bundle.tokenizer, document)
        problems += asset_faults(asset.data, expected)
        if isinstance(asset.data, WordPieceData):
            problems += table_faults(asset.data.tables, *table_options(document))
        else:
            problems += class_faults(asset.data.tables)
            problems += step_faults(asset.data.normalizer, bundle.tokenizer)
    ids = sorted(bundle.token_ids.values())
    if len(set(ids)) != len(ids):
        problems.append("two tokens have one id")
    return faults_check("tokenizer", problems, f"{len(ids)} tokens, the same in every file")


def asset_faults(asset: AssetData, expected: AssetData) -> list[str]:
    """What the asset holds otherwise than tokenizer.json, but for the tables of Unicode."""
    if type(asset) is not type(expected):
        return [f"{ASSET_NAME} holds another kind of tokenizer than {TOKENIZER_NAME}"]
    faults = []
    for field in fields(asset):
        one, other = getattr(asset, field.name), getattr(expected, field.name)
        if field.name in ("tables", "normalizer") or one == other:
            continue
        if field.name in LISTS:
            others = sum(a != b for a, b in zip(one, other, strict=False)) + abs(len(one) - len(other))
            faults.append(f"{others} {LISTS[field.name]} in {ASSET_NAME} than in {TOKENIZER_NAME}")
        else:
            faults.append(f"{field.name} differs between {ASSET_NAME} and {TOKENIZER_NAME}{in_words(one, other)}")
    return faults


def step_faults(steps: Sequence[Step], tokenizer: Tokenizer) -> list[str]:
    """Whether the asset's normalizer makes other letters of the scripts in daily use than the reference's."""
    text = "".join(f"{chr(point)}e" for scripts in COMPARED for point in scripts)
    expected = text if tokenizer.normalizer is None else tokenizer.normalizer.normalize_str(text)
    found = "".join(chr(point) for point, _, _ in normalized(letters_of(text, 0, len(text)), steps, 0))
    return [] if found == expected else [f"the normalizer differs between {ASSET_NAME} and {TOKENIZER_NAME}"]


def class_faults(classes: PatternClasses | WordClasses) -> list[str]:
    """What the asset's classes do otherwise than the reference's pre-tokenizer."""
    points = [point for scripts in COMPARED for point in scripts]
    expected = classes_of(points) if isinstance(classes, PatternClasses) else word_classes_of(points)
    looked_at = frozenset(points)
    return [
        f"{field.name} differ between {ASSET_NAME} and {TOKENIZER_NAME}"
        for field in fields(classes)
        if getattr(classes, field.name) & looked_at != getattr(expected, field.name)
    ]


def table_faults(
    tables: UnicodeTables, clean_text: bool, handle_chinese_chars: bool, strip_accents: bool, lowercase: bool
) -> list[str]:
    """What the asset's tables do otherwise than the reference's normalizer and pre-tokenizer."""
    points = [point for scripts in COMPARED for point in scripts]
    cleaned = ask(BertNormalizer(clean_text, False, False, False).normalize_str, points)
    removed = {point for point, text in cleaned.items() if not text}
    folding = BertNormalizer(False, False, strip_accents, lowercase).normalize_str
    folded = ask(folding, [point for point in points if point not in removed])
    padded = ideographs(points) if handle_chinese_chars else frozenset[int]()
    spaces, punctuation = split_classes(points)
    looked_at = frozenset(points)
    pairs = {
        "removed": (tables.removed & looked_at, removed),
        "folds": (
            {point: fold for point, fold in tables.folds.items() if point in looked_at},
            {point: tuple(map(ord, text)) for point, text in folded.items()},
        ),
        "padded": (tables.padded & looked_at, padded),
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
