"""A tiny teacher that embeds, with texts, scored pairs and a search of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from transformers import BertConfig, BertModel

from edgepack.demo.base import make_tokenizer
from tests.builds.tiny import Files
from tests.teacher.test_embedding import write_modules

WORDS = {"light": ["lamp", "bright", "dim"], "music": ["song", "play", "tune"], "time": ["clock", "alarm", "hour"]}
FILLERS = ["please", "now", "could", "you", "just", "the", "my", "a", "some", "very"]
SIZE = 32


def sentence(generator: np.random.Generator) -> str:
    """Two to five fillers and one or two words of a subject."""
    subject = WORDS[str(generator.choice(list(WORDS)))]
    words = [*generator.choice(FILLERS, generator.integers(2, 6)), *generator.choice(subject, generator.integers(1, 3))]
    return " ".join(generator.permutation(words))


def overlap(one: str, other: str) -> float:
    """The share of words that two texts have in common."""
    first, second = set(one.split()), set(other.split())
    return len(first & second) / len(first | second)


def write_pairs(path: Path, texts: list[str]) -> None:
    rows = [f"{5 * overlap(a, b):.3f}\t{a}\t{b}\n" for a, b in zip(texts[0::2], texts[1::2], strict=True)]
    path.write_text("score\tsentence1\tsentence2\n" + "".join(rows))


def write_search(folder: Path, texts: list[str], queries: int = 30) -> None:
    """Documents that have most of a query's words are worth most."""
    folder.mkdir()
    asked, documents = texts[:queries], texts[queries:]
    for name, chosen in (("corpus", documents), ("queries", asked)):
        lines = [json.dumps({"id": f"{name[0]}{i}", "text": text}) for i, text in enumerate(chosen)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    rows = []
    for i, query in enumerate(asked):
        best = sorted(range(len(documents)), key=lambda j: -overlap(query, documents[j]))[:4]
        rows += [f"q{i}\tc{j}\t{4 - rank}\n" for rank, j in enumerate(best)]
    (folder / "qrels.tsv").write_text("query_id\tdoc_id\trelevance\n" + "".join(rows))


def make_vector_files(folder: Path) -> Files:
    """A teacher in sentence-transformers' layout; `train.txt`, `pairs.tsv`, `search/`, `texts.txt`."""
    generator = np.random.default_rng(0)
    texts = list(dict.fromkeys(sentence(generator) for _ in range(1_400)))
    (folder / "train.txt").write_text("\n".join(texts[:700]))
    (folder / "texts.txt").write_text("\n".join(texts[700:800]))
    write_pairs(folder / "pairs.tsv", [sentence(generator) for _ in range(240)])
    write_search(folder / "search", texts[800:930])
    tokenizer = make_tokenizer(texts)
    teacher = folder / "teacher"
    tokenizer.save_pretrained(teacher)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=SIZE, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=32, initializer_range=0.2,
    )  # fmt: skip
    BertModel(config).save_pretrained(teacher)
    write_modules(teacher, "mean", "Normalize", size=SIZE)
    (teacher / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 24, "do_lower_case": False}))
    return Files(str(teacher), str(folder / "train.txt"), str(folder / "pairs.tsv"))
