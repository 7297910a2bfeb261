"""Data sets whose teachers `edgepack finetune` makes from the shared base encoder, and what their builds are told.

A teacher lies in `WORK/kind-teachers/NAME`, and is made once: by what `finetune` chooses itself, those of pairs and
tags but for the length, so that one CPU core can train them. The teacher of embeddings is the base itself.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.runs import TaskFiles
from edgepack.console import Console
from edgepack.finetune.run import finetune
from edgepack.finetune.settings import Options
from edgepack.task.examples import Columns
from edgepack.task.similarity import EMBEDS
from edgepack.workspace import write_atomic

BASE = "models/base-minilm"  # under the shared folder
TEXTS = ("stsb/train.tsv", "sick/train.tsv", "text/wiki-sentences.txt", "goemotions/train.tsv")  # for EMBEDS
SEED = 0
PAIRS: dict[str, Any] = {"epochs": 6}  # one training: what finetune chooses takes three hours of a CPU core
TAGS: dict[str, Any] = {"epochs": 15, "learning_rate": 1e-4}  # likewise; the best cell of docs/finetune.md


@dataclass(frozen=True)
class DataSet:
    """Files under the shared folder's data/, and what has to be said of them; `options`: of `finetune`."""

    title: str
    train: str
    evaluation: str
    columns: Columns = field(default_factory=Columns)
    options: dict[str, Any] = field(default_factory=dict)


SETS = {
    "goemotions": DataSet("several labels: GoEmotions", "goemotions/train.tsv", "goemotions/dev.tsv"),
    "banking77": DataSet("77 intents: Banking77", "banking77/train.tsv", "banking77/dev.tsv"),
    "stsb": DataSet("score of a pair: STS-B", "stsb/train.tsv", "stsb/dev.tsv", options=PAIRS),
    "sick-relatedness": DataSet(
        "score of a pair: SICK relatedness",
        "sick/train.tsv",
        "sick/dev.tsv",
        Columns(label="relatedness"),
        PAIRS,
    ),
    "sick-entailment": DataSet(
        "label of a pair: SICK entailment", "sick/train.tsv", "sick/dev.tsv", Columns(label="label"), PAIRS
    ),
    "tweeteval-emotion": DataSet(
        "label of a text: TweetEval emotion", "tweeteval-emotion/train.tsv", "tweeteval-emotion/dev.tsv"
    ),
    "wikigold-iobes": DataSet(
        "entities, IOBES tags: WikiGold",
        "ner-wikigold-bioes/train.conll",
        "ner-wikigold-bioes/dev.conll",
        options={"tag_scheme": "data", **TAGS},
    ),
    "wikigold-io": DataSet(
        "entities, IO tags: WikiGold",
        "ner-wikigold-iob1/train.conll",
        "ner-wikigold-iob1/dev.conll",
        options={"tag_scheme": "IO", **TAGS},
    ),
    "sec-iob1": DataSet(
        "entities, IOB1 tags: SEC filings",
        "ner-sec-iob1/train.conll",
        "ner-sec-iob1/test.conll",
        options={"tag_scheme": "IOB1", **TAGS},
    ),
    EMBEDS: DataSet("sentence embeddings: all-MiniLM-L6-v2, Spearman on STS-B", "", "stsb/dev.tsv"),
}


def teacher_folder(name: str, work: Path) -> Path:
    """Where the teacher that `finetune` makes is."""
    return work / "kind-teachers" / name


def make_teacher(name: str, shared: Path, work: Path, console: Console) -> None:
    """Make the teacher where it is not there."""
    folder, record = teacher_folder(name, work), work / "kind-teachers" / f"{name}.json"
    if name == EMBEDS or record.exists():
        return
    if (folder / "config.json").exists():
        shutil.rmtree(folder)  # finished, but not recorded
    kind, options = SETS[name], Options(seed=SEED, **SETS[name].options)
    train, evaluation = (str(shared / "data" / part) for part in (kind.train, kind.evaluation))
    base, columns = str(shared / BASE), kind.columns
    result = finetune(base, train, evaluation, folder, columns=columns, options=options, console=console)
    write_atomic(record, (json.dumps(result.to_record(), indent=1) + "\n").encode())


def unlabelled_texts(shared: Path, work: Path) -> Path:
    """The texts that a student of embeddings learns from: those of training data and running text, each once."""
    path = work / "kind-data" / "texts.txt"
    if not path.exists():
        texts: list[str] = []
        for name in TEXTS:
            header, *lines = (shared / "data" / name).read_text(encoding="utf-8").removesuffix("\n").split("\n")
            if name.endswith(".tsv"):
                places = [
                    i for i, column in enumerate(header.split("\t")) if column in ("text", "sentence1", "sentence2")
                ]
                texts += [cells[i] for cells in (line.split("\t") for line in lines) for i in places]
            else:
                texts += [header, *lines]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, ("\n".join(dict.fromkeys(text for text in texts if text.strip())) + "\n").encode())
    return path


def task_files(name: str, shared: Path, work: Path) -> TaskFiles:
    """Whole paths of a kind's teacher and data."""
    kind, evaluation = SETS[name], str(shared / "data" / SETS[name].evaluation)
    if name == EMBEDS:
        texts = str(unlabelled_texts(shared, work))
        return TaskFiles(kind.title, str(shared / BASE), texts, evaluation, {"task": EMBEDS})
    named = {"columns": kind.columns}
    return TaskFiles(kind.title, str(teacher_folder(name, work)), str(shared / "data" / kind.train), evaluation, named)
