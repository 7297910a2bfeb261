"""Tokenizers of every option, made from a bundle's vocabulary, as folders that look like a bundle to a tokenizer.

    FOLDER/<name>/tokenizer.json   the reference's own file
    FOLDER/<name>/tokenizer.bin    what an app reads

A real vocabulary is mostly lower-case English, on which options make no difference; so letters of other scripts, words
with capitals and accents and pieces of both are added to it. `trimmed` has a third of the words and other ids.
Byte-level tokenizers (`write_byte_pairs`) have a few merges of their own, or those of a folder, as `GPT2`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer

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

GPT2 = Path(__file__).parents[2].parent / "shared" / "data" / "tokenizers" / "gpt2"  # vocab.json and merges.txt
FRAME = ("<s>", "</s>")
SENTENCES = (
    "the movie was good, the 12 songs weren't; they've played them 1990 times",
    "I'm sure we'll see what she'd say:  it's over    there\n\n",
    "Straße café naïve ÉTÉ Москва привет ΣΟΦΟΣ 中文 東京 かな 한국 ٣٤ 😀😀",
)
PREFIX, TRIM, OWN = 1, 2, 4  # a space is put first; offsets without spaces; the processor knows of the space
BYTE_PAIRS: dict[str, tuple[str, int]] = {  # the post-processor's kind and its options
    "roberta": ("roberta", TRIM),
    "roberta-prefixed": ("roberta", PREFIX | TRIM | OWN),
    "roberta-prefixed-unknown": ("roberta", PREFIX | TRIM),
    "roberta-unprefixed-known": ("roberta", TRIM | OWN),
    "roberta-untrimmed": ("roberta", PREFIX | OWN),
    "byte-level": ("byte-level", 0),
    "byte-level-trimmed": ("byte-level", PREFIX | TRIM | OWN),
    "template": ("template", PREFIX),
    "template-trimmed": ("template", TRIM),
    "added": ("roberta", TRIM),
    "added-prefixed": ("roberta", PREFIX | TRIM | OWN),
    "renumbered": ("roberta", PREFIX | TRIM | OWN),
    "two-ways": ("byte-level", 0),
    "modernbert": ("template", 0),
    "nfkc-lower": ("roberta", PREFIX | TRIM | OWN),
}
STEPS = {
    "modernbert": normalizers.NFC(),
    "nfkc-lower": normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]),
}
LATE = (  # looked for in normalized text
    AddedToken("@user", normalized=True),
    AddedToken("Née 中", normalized=True, lstrip=True),
    AddedToken("e\u0301", normalized=True, rstrip=True),
    AddedToken("[new] ", normalized=False),
)
ADDED = (
    AddedToken("<mask>", lstrip=True, normalized=False),
    AddedToken("<mask><right>", rstrip=True, normalized=False),
    AddedToken("<right>", rstrip=True, normalized=True),
    AddedToken("<both>", lstrip=True, rstrip=True, normalized=True),
    AddedToken(" <spaced> ", normalized=False),
    AddedToken("Ġshown", normalized=True),
    AddedToken("mov", normalized=True),
    AddedToken("<right>s", normalized=False),
    AddedToken("\U00010400", normalized=True),
)


def write_variants(source: Path, folder: Path, names: Sequence[str] | None = None) -> list[Path]:
    """Write variants of the tokenizer in `source`, a folder with tokenizer.json: all, or those named."""
    document = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    made = {name: normalized(document, options) for name, options in NORMALIZERS.items()}
    made["trimmed"] = trimmed(normalized(document, NORMALIZERS["uncased"]))
    made["short-words"] = with_model(made["uncased"], max_input_chars_per_word=20)
    made["swallowing"] = made["uncased"]
    made["empty-prefix"] = with_model(made["cased"], continuing_subword_prefix="")
    made["late"], made["late-cased"] = made["uncased"], made["cased-no-cjk-accents"]
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
        if name.startswith("late"):
            tokenizer.add_tokens(list(LATE))
        write_folder(tokenizer, folder / name)
    return [folder / name for name in chosen]


def write_folder(tokenizer: Tokenizer, folder: Path) -> None:
    """The tokenizer as the library stores it, and as an app reads it."""
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_tokenizer_asset(tokenizer, folder)


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


def write_byte_pairs(folder: Path, names: Sequence[str] | None = None, source: Path | None = None) -> list[Path]:
    """Write byte-level tokenizers of every option: all, or those named; `source` has vocab.json and merges.txt."""
    chosen = names or tuple(BYTE_PAIRS)
    for name in chosen:
        write_folder(byte_pairs(name, source), folder / name)
    return [folder / name for name in chosen]


def byte_pairs(name: str, source: Path | None) -> Tokenizer:
    """A byte-level tokenizer with the merges in a folder or those of three sentences."""
    kind, options = BYTE_PAIRS[name]
    if source is None:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        letters = sorted(pre_tokenizers.ByteLevel.alphabet())
        tokenizer.train_from_iterator(
            SENTENCES * 3, BpeTrainer(vocab_size=420, initial_alphabet=letters, show_progress=False)
        )
    else:
        tokenizer = Tokenizer(models.BPE.from_file(str(source / "vocab.json"), str(source / "merges.txt")))
    tokenizer.add_special_tokens([*FRAME, "<pad>"])
    if name == "renumbered":
        tokenizer = Tokenizer.from_str(json.dumps(renumbered(json.loads(tokenizer.to_str()))))
    if name == "two-ways":
        tokenizer = Tokenizer.from_str(json.dumps(two_ways(json.loads(tokenizer.to_str()))))
    if name in STEPS:
        tokenizer.normalizer = STEPS[name]
    if name == "modernbert":
        tokenizer.add_tokens([AddedToken(" " * count, normalized=True) for count in (24, 12, 4, 3, 2)])
        tokenizer.add_tokens(["|||IP_ADDRESS|||", *LATE])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=bool(options & PREFIX))
    tokenizer.post_processor = post_processor(tokenizer, kind, options)
    if name.startswith("added"):
        tokenizer.add_special_tokens([token for token in ADDED if not token.normalized])
        tokenizer.add_tokens([token for token in ADDED if token.normalized])
    return tokenizer


def post_processor(tokenizer: Tokenizer, kind: str, options: int) -> Any:
    """RoBERTa's, GPT-2's, or a template with type ids of its own."""
    trims = {"trim_offsets": bool(options & TRIM), "add_prefix_space": bool(options & OWN)}
    first, last = ((token, tokenizer.get_vocab()[token]) for token in FRAME)
    if kind == "roberta":
        return processors.RobertaProcessing(last, first, **trims)
    if kind == "byte-level":
        return processors.ByteLevel(**trims)
    template = processors.TemplateProcessing(
        single="<s> $A </s>:1", pair="<s> $A </s> </s>:1 $B:1 </s>:2", special_tokens=[first, last]
    )
    return processors.Sequence([processors.ByteLevel(**trims), template]) if options & TRIM else template


def renumbered(document: dict[str, Any]) -> dict[str, Any]:
    """The byte-level tokenizer with ids from the last to the first, one of seven left out."""
    vocabulary = document["model"]["vocab"]
    ids = {token: index + index // 6 for index, token in enumerate(sorted(vocabulary, reverse=True))}
    added = [{**token, "id": ids.get(token["content"], token["id"] * 2)} for token in document["added_tokens"]]
    return {**with_model(document, vocab=ids), "added_tokens": added}


def two_ways(document: dict[str, Any]) -> dict[str, Any]:
    """The byte-level tokenizer with every third merge's token made of two other parts too, as the last merges."""
    vocabulary = document["model"]["vocab"]
    merges = [tuple(merge) for merge in document["model"]["merges"]]
    known, more = set(merges), []
    for left, right in merges[::3]:
        token = left + right
        parts = [(token[:at], token[at:]) for at in range(1, len(token))]
        more += [p for p in parts if p not in known and p[0] in vocabulary and p[1] in vocabulary][:1]
    return with_model(document, merges=[*merges, *more])
