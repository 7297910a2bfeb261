"""A tiny student of scores and its ONNX artifact, on data that its own answers and some noise made."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgepack.export import export
from edgepack.inference import predict
from edgepack.task.examples import read_dataset
from edgepack.task.task import Task
from edgepack.task.tokenize import encode
from tests.evidence.world import MAX_LENGTH, TARGET, World, make_student, make_tokenizer

TASK = Task("text-classification", ("score",), problem="regression")


def make_score_world(folder: Path) -> World:
    """Everything, written below `folder`."""
    tokenizer = make_tokenizer()
    student = make_student(
        vocab_size=len(tokenizer), type_vocab_size=2, pad_token_id=tokenizer.pad_token_id, num_labels=1,
        problem_type="regression", id2label={0: "score"}, label2id={"score": 0},
    )  # fmt: skip
    generator = np.random.default_rng(0)
    texts = list(
        dict.fromkeys(" ".join(generator.choice(list("abcdefgh"), generator.integers(1, 12))) for _ in range(240))
    )
    data = folder / "eval.tsv"

    def write(scores: np.ndarray) -> None:
        data.write_text("text\tscore\n" + "".join(f"{t}\t{s:.4f}\n" for t, s in zip(texts, scores, strict=True)))

    write(np.arange(len(texts)) / 7)
    logits = predict(student, encode(read_dataset(str(data), TASK), TASK, tokenizer, MAX_LENGTH), exact=True)
    write(logits[:, 0] + 0.2 * logits.std() * generator.normal(size=len(texts)))
    evaluation = encode(read_dataset(str(data), TASK), TASK, tokenizer, MAX_LENGTH)
    return World(TASK, tokenizer, student, evaluation, logits, export(student, TARGET, folder / "model"), data)
