"""A tiny task with a student of it and its ONNX artifact: what a bundle is made from, in a second."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from edgepack.bundle.manifest import DataRecord, TeacherRecord, TrainingRecord
from edgepack.bundle.verdict import EDITION, Verdict
from edgepack.bundle.write import Contents
from edgepack.evidence.analyze import Sure
from edgepack.evidence.sure import find_confidence
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
from edgepack.task.windows import Windows
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
    windows: Windows | None = None

    @property
    def sure(self) -> Sure | None:
        """How sure it has to be, found on the evaluation data: these are few."""
        found = find_confidence(self.task, self.logits, self.evaluation, None, 0.95)
        return None if found is None else Sure(found)

    def verdict(self, artifact: Path | None = None, budget_bytes: int = 10**6) -> Verdict:
        verdict = validate_artifact(
            artifact or self.artifact.path,
            TARGET,
            Reference(self.task, self.student, self.evaluation, self.logits, sure=self.sure),
            Limits(budget_bytes),
            shipped_bytes=self.artifact.size_bytes + len(asset_bytes(self.tokenizer)),
        )
        return verdict.model_copy(update={"edition": EDITION, "without": {"linear": "none is trained here"}})

    def contents(self) -> Contents:
        limits = list(self.task.thresholds) or None
        teacher = TeacherRecord(name='tiny: "teacher"', sha256="0" * 64, licence="apache-2.0", thresholds=limits)
        texts = [(line.partition("\t")[0], None) for line in self.data.read_text().splitlines()[1:]]
        config = self.student.config
        dataset = read_dataset(str(self.data), self.task)
        data = DataRecord(sha256=examples_sha256(dataset, self.task), n=len(dataset))
        verdict = self.verdict()
        found = (self.artifact, config, self.tokenizer, teacher, self.task, verdict, MAX_LENGTH, texts, data)
        training = TrainingRecord(sha256="1" * 64, n=2 * len(dataset))
        return Contents(*found, windows=self.windows, training=training)


def make_student(**fields: Any) -> Student:
    """Two layers of 8 bits, or as `fields` say; matrices are far from their first values, so that answers differ."""
    torch.manual_seed(0)
    bits = {"body_bits": 8, "embedding_bits": 8}
    config = StudentConfig(
        embedding_size=16, hidden_size=32, num_hidden_layers=2, num_heads=[2, 2], head_sizes=[16, 16],
        intermediate_sizes=[48, 48], max_position_embeddings=MAX_LENGTH, **{**bits, **fields},
    )  # fmt: skip
    student = Student(config).eval()
    with torch.no_grad():
        for name, parameter in student.named_parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.3 if "word" not in name else 1.0)
    return student


def make_world(
    folder: Path,
    tokenizer: PreTrainedTokenizerFast | None = None,
    type_vocab_size: int = 2,
    sets: bool = False,
    long: bool = False,
) -> World:
    """Everything, written below `folder`; `sets`: a text may have both labels, or none; `long`: it may need windows."""
    task, tokenizer = Task("text-classification", ("negative", "positive")), tokenizer or make_tokenizer()
    if sets:
        task = replace(task, problem="multi_label_classification")
    student = make_student(
        vocab_size=len(tokenizer), type_vocab_size=type_vocab_size, pad_token_id=tokenizer.pad_token_id, num_labels=2,
        problem_type=task.problem if sets else None,
    )  # fmt: skip
    data = folder / "eval.tsv"
    generator = np.random.default_rng(0)
    most = 60 if long else 12
    words = [
        " ".join(generator.choice(list("abcdefgh"), size=generator.integers(1, most)))
        for _ in range(160 if sets else 80)
    ]
    longest = task.windows(MAX_LENGTH) if long else MAX_LENGTH
    data.write_text("text\tlabel\n" + "".join(f"{w}\tnegative\n" for w in dict.fromkeys(words)))
    evaluation = encode(read_dataset(str(data), task), task, tokenizer, longest)
    logits = predict(student, evaluation, exact=True)
    if sets:  # thresholds where each label's logits have the widest gap, among those in the middle
        ranked = np.sort(logits, axis=0)[len(logits) // 4 : -len(logits) // 4]
        place = np.diff(ranked, axis=0).argmax(axis=0)
        middle = (ranked[place, range(2)] + ranked[place + 1, range(2)]) / 2
        task = replace(task, thresholds=tuple(np.round(1 / (1 + np.exp(-middle)), 4).clip(0.01, 0.99).tolist()))
    names, labels = dict.fromkeys(words), [",".join(task.names(each)) for each in task.decide(logits)]
    data.write_text("text\tlabel\n" + "".join(f"{w}\t{label}\n" for w, label in zip(names, labels, strict=True)))
    evaluation = encode(read_dataset(str(data), task), task, tokenizer, longest)
    artifact = export(student, TARGET, folder / "model")
    return World(task, tokenizer, student, evaluation, logits, artifact, data, evaluation.windows)
