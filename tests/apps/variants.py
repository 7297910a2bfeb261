"""Tokenizers of every option, made from a bundle's vocabulary, as folders that look like a bundle to a tokenizer.

    FOLDER/<name>/tokenizer.json   the reference's own file
    FOLDER/<name>/tokenizer.bin    what an app reads

A real vocabulary is mostly lower-case English, on which options make no difference; so letters of other scripts, words
with capitals and accents and pieces of both are added to it. `trimmed` has a third of the words and other ids.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from edgepack.tokenizer.asset import write_tokenizer_asset

OTHER_LETTERS = "éÉçßẞİıΣσςабвАБВÅåñ中文豈更ががカ゚パ한국각𠀀𐐀𐐨ﬁﬀǅǆשׁمُहिน้ำ\u0301\u0323\u0307ｱＡａ½²"
OTHER_WORDS = (
    "Café",
    "café",
    "cafe",
    "##é",
    "##É",
    "Straße",
    "STRASSE",
    "straße",
    "İstanbul",
    "istanbul",
    "ΣΟΦΟΣ",
    "##ς",
)
NORMALIZERS: dict[str, dict[str, Any]] = {
    "uncased": {"lowercase": True, "strip_accents": None},
    "cased": {"lowercase": False, "strip_accents": None},
    "uncased-accents": {"lowercase": True, "strip_accents": False},
    "uncased-no-accents": {"lowercase": True, "strip_accents": True},
    "cased-no-accents": {"lowercase": False, "strip_accents": True},
    "uncleaned": {"lowercase": True, "clean_text": False},
    "cased-uncleaned": {"lowercase": False, "clean_text": False},
    "no-cjk": {"lowercase": True, "handle_chinese_chars": False},
    "cased-no-cjk-accents": {"lowercase": False, "handle_chinese_chars": False, "strip_accents": False},
}
DEFAULTS = {"clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}


def write_variants(source: Path, folder: Path, names: Sequence[str] | None = None) -> list[Path]:
    """Write variants of the tokenizer in `source`, a folder with tokenizer.json: all, or those named."""
    document = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    made = {name: normalized(document, options) for name, options in NORMALIZERS.items()}
    made["trimmed"] = trimmed(normalized(document, NORMALIZERS["uncased"]))
    made["short-words"] = with_model(made["uncased"], max_input_chars_per_word=20)
    made["swallowing"] = made["uncased"]
    made["empty-prefix"] = with_model(made["cased"], continuing_subword_prefix="")
    chosen = names or tuple(made)
    for name in chosen:
        tokenizer = Tokenizer.from_str(json.dumps(made[name]))
        if name == "swallowing":
            tokenizer.add_special_tokens(
                [
                    AddedToken("[LEFT]", lstrip=True, normalized=False),
                    AddedToken("[RIGHT]", rstrip=True, normalized=False),
                    AddedToken("[LEFT][BOTH]", lstrip=True, rstrip=True, normalized=False),
                ]
            )
        (folder / name).mkdir(parents=True)
        tokenizer.save(str(folder / name / "tokenizer.json"))
        write_tokenizer_asset(tokenizer, folder / name)
    return [folder / name for name in chosen]


def normalized(document: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """The tokenizer with these normalizer options and the added letters and words."""
    vocabulary = dict(document["model"]["vocab"])
    for token in (*OTHER_LETTERS, *("##" + letter for letter in OTHER_LETTERS), *OTHER_WORDS):
        vocabulary.setdefault(token, max(vocabulary.values()) + 1)  # there may be ids without a token
    model = {**document["model"], "vocab": vocabulary}
    normalizer = {"type": "BertNormalizer", **DEFAULTS, **options}
    return {**document, "model": model, "normalizer": normalizer}


def trimmed(document: dict[str, Any]) -> dict[str, Any]:
    """The tokenizer without two thirds of its words, ids given anew from the last to the first."""
    vocabulary = document["model"]["vocab"]
    special = {token["content"] for token in document["added_tokens"]}
    kept = [token for i, token in enumerate(sorted(vocabulary)) if token in special or len(token) == 1 or i % 3 == 0]
    ids = {token: index for index, token in enumerate(reversed(kept))}
    added = [{**token, "id": ids[token["content"]]} for token in document["added_tokens"]]
    processor = json.loads(json.dumps(document["post_processor"]))
    renumber(processor, ids)
    model = {**document["model"], "vocab": ids}
    return {**document, "model": model, "added_tokens": added, "post_processor": processor}


def renumber(processor: dict[str, Any], ids: dict[str, int]) -> None:
    """Give a post-processor's special tokens their new ids."""
    if processor["type"] == "BertProcessing":
        for part in ("sep", "cls"):
            processor[part][1] = ids[processor[part][0]]
    else:
        for token in processor["special_tokens"].values():
            token["ids"] = [ids[content] for content in token["tokens"]]


def with_model(document: dict[str, Any], **options: Any) -> dict[str, Any]:
    """The tokenizer with other options of the model."""
    return {**document, "model": {**document["model"], **options}}
