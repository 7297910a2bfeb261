"""Writes what the Hugging Face fast tokenizer makes of fuzzed strings, for the apps' tokenizers to be compared with.

    python -m tests.apps.reference BUNDLE_OR_TOKENIZER_FOLDER OUT.jsonl [--count 100000] [--seed 0] [--split 20000]
    python -m tests.apps.reference --variants BUNDLE_OR_TOKENIZER_FOLDER FOLDER [--count 2000]
    python -m tests.apps.reference --byte-pairs FOLDER_WITH_MERGES FOLDER [--count 2000]
    python -m tests.apps.reference --unigrams FOLDER_WITH_SPIECE_MODEL FOLDER [--count 2000]

A line is a JSON object in ASCII: `text`, `pair` where there is one, `max_length` (most often the manifest's, not
always: take it from the line), `input_ids`, `token_type_ids`, `offsets_utf16`; as in golden.jsonl, which has no
`max_length`. Where there is no pair but a tokenizer.bin, `words` has the first token, start and end (UTF-16) of each
word. With a tokenizer.bin `unknown` is the share of own tokens that are the unknown one. A line of `write_words` is
for the rule of words alone: offsets of a text's own tokens, and no ids. The strings are those of fuzz.py. With
`--split` the lines go to OUT-0.jsonl, OUT-1.jsonl and so on. `--variants` writes tokenizers of every option
(variants.py), each with its fuzz.jsonl beside tokenizer.bin; `--byte-pairs` the same of byte-level ones, from GPT-2's
or RoBERTa's vocab.json and merges.txt; `--unigrams` of Unigram ones, from a spiece.model.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from edgepack.bundle.goldens import tokenize, with_length
from edgepack.bundle.manifest import MANIFEST_NAME, load_manifest
from edgepack.predict.answer import unknown_share
from edgepack.task.words import CharacterClasses, Offsets, classes_of_tables, find_words
from edgepack.tokenizer.asset import ASSET_NAME
from edgepack.tokenizer.asset_tokenizer import AssetTokenizer
from edgepack.tokenizer.reader import read_tokenizer_asset, utf16_index
from tests.apps.fuzz import fuzzed
from tests.apps.unigrams import unigram, write_unigrams
from tests.apps.variants import write_byte_pairs, write_variants

DEFAULT_MAX_LENGTH = 64  # where a folder has no manifest
SPLIT_APART = ("albert", "xlm-r", "whole-wide", "plain")  # Unigram, spaces in tokens in four ways
KEYS = ("input_ids", "token_type_ids", "offsets_utf16")
MANIFEST = {  # of a folder that has a tokenizer and no model
    "schema": 1,
    "task": "text-classification",
    "labels": ["no", "yes"],
    "max_length": 64,
    "padding": {"side": "right", "id": 0},
    "inputs": [{"name": "input_ids", "shape": ["batch", "seq"]}],
    "target": "android-onnx",
    "runtime": {"name": "onnxruntime", "min_version": "1.16"},
    "files": [],
    "shipped_bytes": 0,
    "metrics": {},
    "teacher": {"name": "t"},
}


def reference_lines(folder: Path, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """The reference's answers for the tokenizer in `folder`."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    has_manifest = (folder / MANIFEST_NAME).is_file()
    max_length = load_manifest(folder).max_length if has_manifest else DEFAULT_MAX_LENGTH
    asset = read_asset(folder)
    classes = None if asset is None else classes_of_tables(asset.data.tables)
    by_length: dict[int, Tokenizer] = {}
    for sample in fuzzed(tokenizer, max_length, count, seed):
        if sample.max_length not in by_length:
            by_length[sample.max_length] = with_length(tokenizer, sample.max_length)
        answer = tokenize(by_length[sample.max_length], sample.text, sample.pair)
        pair = {} if sample.pair is None else {"pair": sample.pair}
        line = {"text": sample.text, **pair, "max_length": sample.max_length}
        line |= {key: answer[key] for key in KEYS}
        if asset is not None:
            unknown_id = getattr(asset.data, "unknown_id", None)
            line["unknown"] = unknown_share(answer["input_ids"], answer["offsets_utf16"], unknown_id)
        if classes is not None and sample.pair is None:
            encoding = by_length[sample.max_length].encode(sample.text)
            own = zip(encoding.offsets, encoding.sequence_ids, strict=True)
            spans = [None if sequence is None else span for span, sequence in own]
            line["words"] = words_utf16(sample.text, spans, classes)
        yield line


def answer_line(reader: AssetTokenizer, line: Mapping[str, Any]) -> dict[str, Any]:
    """The line as a reader of tokenizer.bin answers it."""
    got = reader.encode(line["text"], line.get("pair"), line["max_length"])
    offsets = [list(offset) for offset in got.offsets_utf16]
    answer = {"input_ids": got.input_ids, "token_type_ids": got.token_type_ids, "offsets_utf16": offsets}
    if "words" in line:
        answer["words"] = words_utf16(line["text"], got.own_offsets, classes_of_tables(reader.data.tables))
    return {**line, **answer}


def asset_classes(folder: Path) -> CharacterClasses | None:
    """What separates words by the tokenizer.bin of a folder, if it has one."""
    asset = read_asset(folder)
    return None if asset is None else classes_of_tables(asset.data.tables)


def read_asset(folder: Path) -> AssetTokenizer | None:
    """The tokenizer.bin of a folder, if it has one."""
    path = folder / ASSET_NAME
    return read_tokenizer_asset(path.read_bytes()) if path.is_file() else None


def words_utf16(text: str, spans: Offsets, classes: CharacterClasses) -> list[list[int]]:
    """First token, start and end of each word."""
    index = utf16_index(text)
    return [[word.first, index[word.start], index[word.end]] for word in find_words(text, spans, classes)]


def write_words(folder: Path, count: int, seed: int) -> Path:
    """Write lines of Unigram tokenizers for the rule of words, by the classes of the tokenizer.bin in `folder`."""
    classes, path = asset_classes(folder), folder / "words.jsonl"
    assert classes is not None, folder
    share, rest = divmod(count, len(SPLIT_APART))
    with path.open("w", encoding="ascii") as file:
        for number, name in enumerate(SPLIT_APART):
            tokenizer = unigram(name)
            for sample in fuzzed(tokenizer, DEFAULT_MAX_LENGTH, share + (number < rest), seed):
                text = sample.text.replace("▁", " ")
                spans, index = tokenizer.encode(text, add_special_tokens=False).offsets, utf16_index(text)
                offsets = [[index[start], index[end]] for start, end in spans]
                line = {"text": text, "offsets_utf16": offsets, "words": words_utf16(text, spans, classes)}
                file.write(json.dumps(line, separators=(",", ":")) + "\n")
    return path


def write_reference(folder: Path, out: Path, count: int, seed: int, split: int | None = None) -> list[Path]:
    """Write the lines to `out`, or `split` lines at a time to files numbered after it."""
    lines = reference_lines(folder, count, seed)
    paths = [out] if not split else [out.with_stem(f"{out.stem}-{i}") for i in range(-(-count // split))]
    for path in paths:
        with path.open("w", encoding="ascii") as file:
            for _, line in zip(range(split or count), lines, strict=False):
                file.write(json.dumps(line, separators=(",", ":")) + "\n")
    return paths


def main(arguments: list[str]) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="bundle, or folder with tokenizer.json or merges")
    parser.add_argument("out", type=Path, help="OUT.jsonl; with --variants a new folder")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", type=int, help="lines a file")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--variants", action="store_true", help="tokenizers of every option")
    kind.add_argument("--byte-pairs", action="store_true", help="byte-level tokenizers of every option")
    kind.add_argument("--unigrams", action="store_true", help="Unigram tokenizers of every option")
    given = parser.parse_args(arguments)
    if not (given.variants or given.byte_pairs or given.unigrams):
        paths = write_reference(given.source, given.out, given.count, given.seed, given.split)
    else:
        if given.variants:
            folders = write_variants(given.source, given.out)
        else:
            folders = (write_byte_pairs if given.byte_pairs else write_unigrams)(given.out, source=given.source)
        paths = [
            path for f in folders for path in write_reference(f, f / "fuzz.jsonl", given.count, given.seed, given.split)
        ]
    for path in paths:
        print(f"{path}\t{path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
