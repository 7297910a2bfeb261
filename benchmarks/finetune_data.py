"""The data sets of the fine-tuning benchmark, written as `edgepack finetune` reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepack.workspace import write_atomic

JUDGED_SHARE = 0.2  # of the training data, with `--judge held-out`
LANGUAGES = ("arabic", "english", "french", "german", "hindi", "italian", "portuguese", "spanish")


@dataclass(frozen=True)
class DataSet:
    """Files under the shared folder's data/, and how many training rows (about, where languages differ)."""

    train: str
    evaluation: str
    rows: int


@dataclass(frozen=True)
class Files:
    """What a training reads."""

    train: Path
    evaluation: Path


SETS = {
    "banking77": DataSet("banking77/train.tsv", "banking77/dev.tsv", 10_003),
    "tweeteval-emotion": DataSet("tweeteval-emotion/train.tsv", "tweeteval-emotion/dev.tsv", 3_257),
    "sick": DataSet("sick/train.tsv", "sick/dev.tsv", 4_439),
    "ner-wikigold": DataSet("ner-wikigold-iob1/train.conll", "ner-wikigold-iob1/dev.conll", 1_472),
    "ner-sec": DataSet("ner-sec-iob1/train.conll", "ner-sec-iob1/test.conll", 1_165),
    "stsb": DataSet("stsb/train.tsv", "stsb/dev.tsv", 5_748),
    "goemotions": DataSet("goemotions/train.tsv", "goemotions/dev.tsv", 43_410),
    "snips": DataSet("snips/train.jsonl", "snips/dev.jsonl", 13_084),
    "sst2": DataSet("sst2/train.tsv", "sst2/dev.tsv", 67_349),
    **{
        f"xlmt-{language}": DataSet(f"xlmt-sentiment/{language}/train.tsv", f"xlmt-sentiment/{language}/dev.tsv", 1_839)
        for language in LANGUAGES
    },
}


def files_of(name: str, shared: Path, work: Path, most_rows: int, judge: str) -> Files:
    """The files to train on and to be judged by, written into `work`.

    `judge` "held-out": no file but the training one is read, and a fifth of its rows, in order of a seeded shuffle,
    judges; equal rows lie on one side.
    """
    data = SETS[name]
    header, rows = _read(shared / "data" / data.train)
    order = np.random.default_rng(0).permutation(len(rows))
    if judge == "held-out":
        distinct = list(dict.fromkeys(rows[i] for i in order))
        judged = set(distinct[: round(JUDGED_SHARE * len(distinct))])
        evaluation = [row for row in rows if row in judged]
        order = np.array([i for i in order if rows[i] not in judged])
    else:
        _, evaluation = _read(shared / "data" / data.evaluation)
    training = [rows[i] for i in np.sort(order[:most_rows])]
    folder = work / judge / f"{name}-{most_rows}"
    folder.mkdir(parents=True, exist_ok=True)
    suffix = ".tsv" if header else ".jsonl"
    paths = folder / f"train{suffix}", folder / f"evaluation{suffix}"
    for path, lines in zip(paths, (training, evaluation), strict=True):
        write_atomic(path, ("\n".join([*header, *lines]) + "\n").encode())
    return Files(*paths)


def _read(path: Path) -> tuple[list[str], list[str]]:
    """A header line, if the format has one, and a line for each row; CoNLL columns become JSON lines."""
    lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    if path.suffix == ".conll":
        return [], [json.dumps({"tokens": words, "tags": begin_tags(tags)}) for words, tags in _sentences(lines)]
    return (lines[:1], lines[1:]) if path.suffix == ".tsv" else ([], lines)


def _sentences(lines: Sequence[str]) -> Iterator[tuple[list[str], list[str]]]:
    """Words and tags of each sentence: lines that begin with a word and end with its tag, a blank one between them."""
    words: list[str] = []
    tags: list[str] = []
    for line in [*lines, ""]:
        if line.startswith("-DOCSTART-"):
            continue
        if line.strip():
            word, *_, tag = line.split(" ")
            words.append(word)
            tags.append(tag)
        elif words:
            yield words, tags
            words, tags = [], []


def begin_tags(tags: Sequence[str]) -> list[str]:
    """IOB1 tags as BIO: an entity's first tag begins with B."""
    before = ["O", *tags[:-1]]
    return [
        f"B-{tag[2:]}" if tag.startswith("I-") and last[2:] != tag[2:] else tag
        for tag, last in zip(tags, before, strict=True)
    ]
