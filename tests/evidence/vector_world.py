"""A tiny student that embeds, with scored pairs that its own cosines rank well, as a bundle for any target."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgepack.bundle.manifest import DataRecord, TeacherRecord
from edgepack.bundle.verdict import EDITION
from edgepack.bundle.write import Bundle, Contents, write_bundle
from edgepack.evidence.validate import Limits, Reference, validate_artifact
from edgepack.export import export
from edgepack.inference import predict
from edgepack.target import Target
from edgepack.task.dataset import Dataset, Example
from edgepack.task.examples import Columns
from edgepack.task.identity import examples_sha256
from edgepack.task.similarity import cosines
from edgepack.task.task import Task
from edgepack.task.tokenize import encode
from edgepack.task.vector_data import read_judged
from edgepack.tokenizer.asset import asset_bytes
from tests.evidence.world import MAX_LENGTH, TARGET, make_student, make_tokenizer

SIZE, PAIRS = 32, 60
NAMED = "score\tsentence1\tsentence2\n"


def write_vector_bundle(
    folder: Path, target: Target = TARGET, pooling: str = "mean", vector_size: int = 0
) -> tuple[Bundle, Path]:
    """The bundle, and its data."""
    tokenizer = make_tokenizer()
    student = make_student(
        vocab_size=len(tokenizer), type_vocab_size=0, task="feature-extraction", pooling=pooling, normalized=True,
        head_act=None, vector_size=vector_size,
    )  # fmt: skip
    student.round_vectors()
    task = Task("feature-extraction", (), vector_size=student.config.outputs, judged="pairs")
    generator = np.random.default_rng(0)
    texts = [" ".join(generator.choice(list("abcdefgh"), size=generator.integers(1, 12))) for _ in range(2 * PAIRS)]
    plain = Dataset(tuple(Example(text, None, None, 0) for text in texts), "", "")
    vectors = predict(student, encode(plain, task, tokenizer, MAX_LENGTH), exact=True)
    near = cosines(vectors[0::2], vectors[1::2])
    noise = generator.normal(0, 0.3 * near.std(), PAIRS)  # no model of scores by people has a correlation of 1
    rows = zip(near + noise, texts[0::2], texts[1::2], strict=True)
    source = folder / "pairs.tsv"
    source.write_text(NAMED + "".join(f"{score:.5f}\t{one}\t{other}\n" for score, one, other in rows))
    _, data = read_judged(str(source), Columns())
    encoded = encode(data, task, tokenizer, MAX_LENGTH)
    artifact = export(student, target, folder / "model")
    shipped = artifact.size_bytes + len(asset_bytes(tokenizer))
    reference = Reference(task, student, encoded, vectors)
    verdict = validate_artifact(artifact.path, target, reference, Limits(10**6, 0.3), shipped_bytes=shipped)
    verdict = verdict.model_copy(update={"edition": EDITION, "without": {"linear": "vectors have none"}})
    contents = Contents(
        artifact=artifact,
        config=student.config,
        tokenizer=tokenizer,
        teacher=TeacherRecord(name="tiny", sha256="0" * 64),
        task=task,
        verdict=verdict,
        max_length=MAX_LENGTH,
        golden_texts=[(text, None) for text in texts],
        evaluation=DataRecord(sha256=examples_sha256(data, task), n=PAIRS),
        student=student,
    )
    return write_bundle(folder / "bundles" / target.name, contents), source
