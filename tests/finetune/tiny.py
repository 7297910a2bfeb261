"""A base of one layer, and data that single words decide."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import BertConfig, BertModel

from edgepack.console import Console
from edgepack.demo.base import make_tokenizer
from edgepack.finetune import FinetuneResult, Options, finetune
from edgepack.workspace import sha256_file

WORDS = {"light": ["lamp", "bright", "dim"], "music": ["song", "play", "tune"], "time": ["clock", "alarm", "hour"]}
QUICK = {"epochs": 2, "batch_size": 8, "learning_rate": 5e-3}


@dataclass(frozen=True)
class Files:
    base: str
    train: str
    evaluation: str


def make_files(folder: Path) -> Files:
    """108 sentences in two files, 80 to train on, and a base that has their words."""
    rows = [
        (f"{filler} {word} {number}", label)
        for label, words in WORDS.items()
        for word in words
        for filler in ("my", "the", "a", "please")
        for number in ("one", "two", "three")
    ]
    order = np.random.default_rng(0).permutation(len(rows))
    for name, chosen in (("train", order[:80]), ("eval", order[80:])):
        write_rows(folder / f"{name}.tsv", [rows[i] for i in chosen])
    write_base(folder / "base", BertModel, [text for text, _ in rows])
    return Files(str(folder / "base"), str(folder / "train.tsv"), str(folder / "eval.tsv"))


def write_rows(path: Path, rows: list[tuple[str, str]]) -> str:
    """Texts and labels as TSV."""
    path.write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows))
    return str(path)


def read_rows(path: str) -> list[tuple[str, str]]:
    """What `write_rows` wrote."""
    return [(text, label) for text, label in (line.split("\t") for line in Path(path).read_text().splitlines()[1:])]


def write_base(folder: Path, model_class: type, sentences: list[str]) -> None:
    """A random encoder and a tokenizer of these sentences."""
    tokenizer = make_tokenizer(sentences)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    model_class(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=32, **shape)).save_pretrained(folder)


def run(files: Files, output: Path, *, console: Console | None = None, **changes: Any) -> FinetuneResult:
    """Fine-tune; `changes` are files, or options (default: `QUICK`)."""
    paths = {name: changes.pop(name, getattr(files, name)) for name in ("base", "train", "evaluation")}
    options = Options(**{**QUICK, **changes})
    return finetune(**paths, output=output, options=options, console=console or Console(quiet=True))


def weights(output: Path) -> str:
    """The sha256 of the teacher's weights."""
    return sha256_file(output / "model.safetensors")
