"""A tiny teacher that embeds, with texts, scored pairs and a search of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig, AutoModel

from edgepack.demo.base import make_tokenizer
from edgepack.inference import predict
from edgepack.task.dataset import Dataset, Example
from edgepack.task.similarity import cosines, unit
from edgepack.task.tokenize import encode
from edgepack.teacher import load_teacher
from tests.builds.tiny import Files
from tests.teacher.embedding_folders import write_modules

WORDS = {"light": ["lamp", "bright", "dim"], "music": ["song", "play", "tune"], "time": ["clock", "alarm", "hour"]}
FILLERS = ["please", "now", "could", "you", "just", "the", "my", "a", "some", "very"]
SIZE = 32


def sentence(generator: np.random.Generator) -> str:
    """Two to five fillers and one or two words of a subject."""
    subject = WORDS[str(generator.choice(list(WORDS)))]
    words = [*generator.choice(FILLERS, generator.integers(2, 6)), *generator.choice(subject, generator.integers(1, 3))]
    return " ".join(generator.permutation(words))


def write_pairs(path: Path, texts: list[str], vectors: np.ndarray) -> None:
    """Scores that follow the teacher's cosines, with some noise."""
    near = cosines(vectors[0::2], vectors[1::2])
    noise = np.random.default_rng(1).normal(0, 0.1 * near.std(), len(near))
    rows = zip(near + noise, texts[0::2], texts[1::2], strict=True)
    path.write_text("score\tsentence1\tsentence2\n" + "".join(f"{s:.4f}\t{a}\t{b}\n" for s, a, b in rows))


def write_search(folder: Path, texts: list[str], vectors: np.ndarray, queries: int = 40) -> None:
    """The documents that the teacher ranks first are worth most."""
    folder.mkdir()
    for name, chosen in (("corpus", texts[queries:]), ("queries", texts[:queries])):
        lines = [json.dumps({"id": f"{name[0]}{i}", "text": text}) for i, text in enumerate(chosen)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    best = np.argsort(-unit(vectors[:queries]) @ unit(vectors[queries:]).T, axis=1)[:, :4]
    rows = [f"q{i}\tc{j}\t{4 - rank}\n" for i, row in enumerate(best) for rank, j in enumerate(row)]
    (folder / "qrels.tsv").write_text("query_id\tdoc_id\trelevance\n" + "".join(rows))


def vectors_of(teacher: Path, texts: list[str]) -> np.ndarray:
    """The teacher's own vectors."""
    opened = load_teacher(str(teacher), "feature-extraction")
    data = Dataset(tuple(Example(text, None, None, 0) for text in texts), "", "")
    return predict(opened.load_model(), encode(data, opened.task, opened.tokenizer, opened.max_length))


def make_vector_files(folder: Path, family: str = "bert", pooling: str = "mean") -> Files:
    """A teacher in sentence-transformers' layout; `train.txt`, `pairs.tsv`, `search/`, `texts.txt`."""
    generator = np.random.default_rng(0)
    texts = list(dict.fromkeys(sentence(generator) for _ in range(1_600)))
    (folder / "train.txt").write_text("\n".join(texts[:700]))
    (folder / "texts.txt").write_text("\n".join(texts[700:800]))
    tokenizer, teacher = make_tokenizer(texts), folder / "teacher"
    tokenizer.save_pretrained(teacher)
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        family, vocab_size=len(tokenizer), hidden_size=SIZE, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=32, initializer_range=0.05, pad_token_id=0,
    )  # fmt: skip
    AutoModel.from_config(config).save_pretrained(teacher)
    write_modules(teacher, pooling, "Normalize", size=SIZE)
    (teacher / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 24, "do_lower_case": False}))
    write_pairs(folder / "pairs.tsv", texts[800:1040], vectors_of(teacher, texts[800:1040]))
    write_search(folder / "search", texts[1040:1180], vectors_of(teacher, texts[1040:1180]))
    return Files(str(teacher), str(folder / "train.txt"), str(folder / "pairs.tsv"))
