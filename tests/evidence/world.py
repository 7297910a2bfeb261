"""A tiny task with a student of it and its ONNX artifact: what a bundle is made from, in a second."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from edgepack.bundle.manifest import DataRecord, TeacherRecord
from edgepack.bundle.verdict import Verdict
from edgepack.bundle.write import Contents
from edgepack.evidence.validate import Limits, Reference, validate_artifact
from edgepack.export import Artifact, export
from edgepack.inference import predict
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.target import load_target
from edgepack.task.encoded import Encoded
from edgepack.task.examples import read_dataset
from edgepack.task.identity import examples_sha256
from edgepack.task.task import Task
from edgepack.task.tokenize import encode
from edgepack.tokenizer.asset import asset_bytes

TARGET = load_target("android-onnx")
MAX_LENGTH = 16


def make_tokenizer() -> PreTrainedTokenizerFast:
    letters = [chr(c) for c in range(33, 127)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *("##" + c for c in letters), "good", "bad"]
    backend = Tokenizer(models.WordPiece({t: i for i, t in enumerate(tokens)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


@dataclass(frozen=True, eq=False)
class World:
    """One task, its tiny student, and the artifact."""

    task: Task
    tokenizer: PreTrainedTokenizerFast
    student: Student
    evaluation: Encoded
    logits: np.ndarray
    artifact: Artifact
    data: Path

    def verdict(self, artifact: Path | None = None, budget_bytes: int = 10**6) -> Verdict:
        return validate_artifact(
            artifact or self.artifact.path,
            TARGET,
            Reference(self.task, self.student, self.evaluation, self.logits),
            Limits(budget_bytes),
            shipped_bytes=self.artifact.size_bytes + len(asset_bytes(self.tokenizer)),
        )

    def contents(self) -> Contents:
        teacher = TeacherRecord(name='tiny: "teacher"', sha256="0" * 64, licence="apache-2.0")
        texts = [(line.partition("\t")[0], None) for line in self.data.read_text().splitlines()[1:]]
        config = self.student.config
        data = DataRecord(sha256=examples_sha256(read_dataset(str(self.data), self.task), self.task), n=75)
        verdict = self.verdict()
        return Contents(self.artifact, config, self.tokenizer, teacher, self.task, verdict, MAX_LENGTH, texts, data)


def make_world(folder: Path, tokenizer: PreTrainedTokenizerFast | None = None, type_vocab_size: int = 2) -> World:
    """Everything, written below `folder`."""
    task, tokenizer = Task("text-classification", ("negative", "positive")), tokenizer or make_tokenizer()
    torch.manual_seed(0)
    config = StudentConfig(
        vocab_size=len(tokenizer), embedding_size=16, hidden_size=32, num_hidden_layers=2, num_heads=[2, 2],
        head_sizes=[16, 16], intermediate_sizes=[48, 48], max_position_embeddings=MAX_LENGTH,
        type_vocab_size=type_vocab_size, pad_token_id=tokenizer.pad_token_id, num_labels=2, body_bits=8,
        embedding_bits=8,
    )  # fmt: skip
    student = Student(config).eval()
    with torch.no_grad():
        for name, parameter in student.named_parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.3 if "word" not in name else 1.0)
    data = folder / "eval.tsv"
    generator = np.random.default_rng(0)
    words = [" ".join(generator.choice(list("abcdefgh"), size=generator.integers(1, 12))) for _ in range(80)]
    data.write_text("text\tlabel\n" + "".join(f"{w}\tnegative\n" for w in dict.fromkeys(words)))
    evaluation = encode(read_dataset(str(data), task), task, tokenizer, MAX_LENGTH)
    logits = predict(student, evaluation, exact=True)
    labels = logits.argmax(axis=1)
    names = dict.fromkeys(words)
    data.write_text("text\tlabel\n" + "".join(f"{w}\t{task.labels[i]}\n" for w, i in zip(names, labels, strict=True)))
    evaluation = encode(read_dataset(str(data), task), task, tokenizer, MAX_LENGTH)
    return World(task, tokenizer, student, evaluation, logits, export(student, TARGET, folder / "model"), data)
