"""A tiny student of scores and its ONNX artifact, on data that its own answers and some noise made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from edgepack.export import export
from edgepack.inference import predict
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.task.examples import read_dataset
from edgepack.task.task import Task
from edgepack.task.tokenize import encode
from tests.evidence.world import MAX_LENGTH, TARGET, World, make_tokenizer

TASK = Task("text-classification", ("score",), problem="regression")


def make_score_world(folder: Path) -> World:
    """Everything, written below `folder`."""
    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    config = StudentConfig(
        vocab_size=len(tokenizer), embedding_size=16, hidden_size=32, num_hidden_layers=2, num_heads=[2, 2],
        head_sizes=[16, 16], intermediate_sizes=[48, 48], max_position_embeddings=MAX_LENGTH, type_vocab_size=2,
        pad_token_id=tokenizer.pad_token_id, num_labels=1, body_bits=8, embedding_bits=8, problem_type="regression",
        id2label={0: "score"}, label2id={"score": 0},
    )  # fmt: skip
    student = Student(config).eval()
    with torch.no_grad():
        for name, parameter in student.named_parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.3 if "word" not in name else 1.0)
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
