"""Validation of made logits: what is run how, and that a verdict says exactly what the four forms answered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgepack.bundle.analysis import Analysis
from edgepack.bundle.manifest import MetricRecord
from edgepack.bundle.verdict import Check, IntervalRecord, Verdict, blame
from edgepack.errors import InputError, NotRunHere
from edgepack.evidence import validate
from edgepack.evidence.forms import FormLogits, agreement, compare, divergence
from edgepack.evidence.noninferiority import judge_retention, retention_check
from edgepack.evidence.paired_ratio import paired_rows
from edgepack.evidence.validate import Limits, Reference, finite_check, student_forms, validate_artifact
from edgepack.target import load_target
from edgepack.task.encoded import Encoded
from edgepack.task.intervals import metric_interval
from edgepack.task.task import Task
from edgepack.workspace import sha256_file

TARGET = replace(load_target("android-onnx"), activations="token")
TASK = Task("text-classification", ("no", "yes"))
N = 40
EVALUATION = Encoded(np.zeros(2 * N, np.int32), np.zeros(2 * N, np.int8), np.arange(0, 2 * N + 1, 2), np.arange(N) % 2)
BACKGROUND: Any = object()
SESSION: Any = object()


def logits(wrong: int, scale: float = 1.0) -> np.ndarray:
    """Logits that decide all examples but the first `wrong` as they are labelled."""
    rows = np.where(np.eye(2, dtype=bool)[EVALUATION.labels], 2.0, -2.0) + np.linspace(0, 0.5, N)[:, None]
    rows[:wrong] *= -1
    return (rows * scale).astype(np.float32)


TEACHER, STUDENT, QUANTIZED, ARTIFACT = logits(1), logits(2), logits(6, 1.5), logits(7, 1.51)
TEACHER_EVALUATION = replace(EVALUATION, input_ids=EVALUATION.input_ids + 1)


class MadeStudent:
    """Stands for the torch model: keeps what it was asked to do, in order."""

    def __init__(self) -> None:
        self.config = SimpleNamespace(body_bits=8, embedding_bits=4)
        self.bits, self.rounded_by = (8, 4), "example"
        self.asked: list[Any] = []

    def set_bits(self, body: int, embedding: int) -> None:
        self.bits = (body, embedding)
        self.asked.append(self.bits)

    def round_activations_by(self, what: str) -> None:
        self.rounded_by = what
        self.asked.append(what)


@pytest.fixture
def student(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = MadeStudent()

    def predict(model: Any, encoded: Encoded, *, exact: bool, advance: Any) -> np.ndarray:
        assert (model, encoded, exact) == (made, EVALUATION, True)
        if advance is not None:
            advance(N)
        made.asked.append("predict")
        return STUDENT if made.bits == (32, 32) else QUANTIZED

    monkeypatch.setattr(validate, "predict", predict)
    return made


@pytest.fixture
def reference(student: Any, monkeypatch: pytest.MonkeyPatch) -> Reference:
    """All that an artifact is compared with, its runtime giving `ARTIFACT`."""

    def load(path: Path, target: Any, threads: Any = None) -> Any:
        assert (path.name, target, threads) == ("model.onnx", TARGET, 1)
        return SESSION

    def predict_session(session: Any, encoded: Any, advance: Any) -> np.ndarray:
        assert (session, encoded) == (SESSION, EVALUATION)
        advance(N)
        return ARTIFACT

    def analyze(teacher: Any, artifact: Any, kept: Any, session: Any, background: Any, sure: Any) -> Analysis:
        assert (session, background, sure) == (SESSION, BACKGROUND, None)
        assert [(known.form.name, known.task) for known in (teacher, artifact)] == [
            ("teacher", TASK),
            ("artifact", TASK),
        ]
        return Analysis(noninferiority=kept)

    for name, made in (("load", load), ("predict_session", predict_session), ("analyze", analyze)):
        monkeypatch.setattr(validate, name, made)
    return Reference(TASK, student, EVALUATION, TEACHER, TEACHER_EVALUATION, BACKGROUND)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(b"model")
    return tmp_path / "model.onnx"


def record(statistics: np.ndarray) -> MetricRecord:
    interval = metric_interval(statistics, TASK)
    return MetricRecord(name="accuracy", value=interval.value, n=N, low=interval.low, high=interval.high)


def forms() -> list[FormLogits]:
    return [
        FormLogits("teacher", TEACHER, TEACHER_EVALUATION),
        FormLogits("student", STUDENT, EVALUATION),
        FormLogits("quantized", QUANTIZED, EVALUATION),
        FormLogits("artifact", ARTIFACT, EVALUATION),
    ]


def test_a_verdict_says_what_the_four_forms_answered(reference: Reference, artifact: Path) -> None:
    advanced: list[int] = []
    limits = Limits(2_000, max_drop=0.2, confidence=0.9)
    verdict = validate_artifact(
        artifact, TARGET, reference, limits, 2_000, keep_logits=artifact.with_name("kept.npy"), advance=advanced.append
    )
    made = forms()
    metrics = {form.name: record(TASK.statistics(form.logits, EVALUATION)) for form in made}
    kept = judge_retention(
        paired_rows(TASK.statistics(ARTIFACT, EVALUATION), TASK.statistics(TEACHER, EVALUATION)), TASK, 0.2, 0.9
    )
    assert verdict == Verdict(
        target="android-onnx",
        passed=False,  # no goldens yet
        checks=[
            Check(
                name="size", status="passed", value=2_000, limit=2_000,
                reason="shipped bytes: 2,000, must be at most 2,000",
            ),
            retention_check(kept, "accuracy"),
            Check(
                name="parity", status="failed", value=0.975, limit=0.99,
                reason="agreement with the quantized model: 0.975, must be at least 0.99",
            ),
            Check(
                name="finite", status="passed", value=0, limit=0,
                reason="0 logits are not finite; 2 columns for 2 labels",
            ),
            Check(name="goldens", status="not_run", limit=0, reason="no bundle was there to check them in"),
        ],
        metrics=metrics,
        retention=IntervalRecord(value=kept.value, low=kept.lower, high=kept.upper),
        agreement=agreement(made[3], made[0]),
        divergence=divergence(made[3], made[0]),
        parity=[compare(made[i + 1], made[i], metrics[made[i + 1].name].value) for i in range(3)],
        blame="quantize",
        shipped_bytes=2_000,
        budget_bytes=2_000,
        analysis=Analysis(noninferiority=kept),
        judged={TARGET.file: sha256_file(artifact)},
    )  # fmt: skip
    assert verdict.agreement == 34 / 40
    assert verdict.retention is not None
    assert verdict.retention.value == pytest.approx(33 / 39)
    assert advanced == [N, N, N]  # the student twice, then the artifact
    assert np.array_equal(np.load(artifact.with_name("kept.npy")), ARTIFACT)
    assert reference.student.asked == [(32, 32), "predict", (8, 4), "token", "predict", "example"]  # type: ignore[attr-defined]


def test_without_a_wish_the_margin_is_the_usual_one_and_nothing_is_kept(
    reference: Reference, artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validate, "predict_session", lambda session, encoded, advance: QUANTIZED)
    verdict = validate_artifact(artifact, TARGET, reference, Limits(1_999), 2_000)
    assert (verdict.check("size").status, verdict.check("parity").status) == ("failed", "passed")
    assert (verdict.shipped_bytes, verdict.budget_bytes) == (2_000, 1_999)
    assert verdict.noninferiority is not None
    assert (verdict.noninferiority.margin, verdict.noninferiority.confidence) == (0.05, 0.95)
    assert [path.name for path in artifact.parent.iterdir()] == ["model.onnx"]
    own = replace(reference, teacher_evaluation=None).forms("token")
    assert own[0].encoded is EVALUATION
    assert reference.forms("token")[0].encoded is TEACHER_EVALUATION
    assert [form.name for form in own] == ["teacher", "student", "quantized"]


def test_without_the_runtime_only_the_size_is_judged(
    reference: Reference, artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: Any, **__: Any) -> None:
        raise NotRunHere("needs a Mac")

    monkeypatch.setattr(validate, "load", absent)
    for shipped, status in ((10, "passed"), (21, "failed")):
        verdict = validate_artifact(artifact, TARGET, reference, Limits(20), shipped)
        made = forms()[:3]
        metrics = {form.name: record(TASK.statistics(form.logits, EVALUATION)) for form in made}
        reason = f"shipped bytes: {shipped}, must be at most 20"
        assert verdict == Verdict(
            target="android-onnx",
            passed=False,
            checks=[
                Check(name="size", status=status, value=shipped, limit=20, reason=reason),
                *(
                    Check(name=name, status="not_run", reason="needs a Mac")
                    for name in ("retention", "parity", "finite", "goldens")
                ),
            ],
            metrics=metrics,
            parity=[compare(made[i + 1], made[i], metrics[made[i + 1].name].value) for i in range(2)],
            shipped_bytes=shipped,
            budget_bytes=20,
        )


def test_a_form_that_another_target_had_too_is_computed_once(student: Any) -> None:
    known: dict[str, np.ndarray] = {}
    advanced: list[int] = []
    first = student_forms(student, EVALUATION, "example", known=known)
    student.asked.clear()
    again = student_forms(student, EVALUATION, "example", advanced.append, known)
    assert [form.logits is other.logits for form, other in zip(first, again, strict=True)] == [True, True]
    assert "predict" not in student.asked
    assert advanced == [N, N]
    student_forms(student, EVALUATION, "token", known=known)
    assert student.asked.count("predict") == 1  # without rounding it is the same


def test_the_student_gets_its_bit_widths_and_ranges_back_whatever_happens(
    student: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, quantized = student_forms(student, EVALUATION)
    assert (full.name, full.encoded, quantized.name, quantized.encoded) == (
        "student", EVALUATION, "quantized", EVALUATION,
    )  # fmt: skip
    assert (full.logits is STUDENT, quantized.logits is QUANTIZED) == (True, True)
    assert student.asked == [(32, 32), "predict", (8, 4), "example", "predict", "example"]

    def fail(*_: Any, **__: Any) -> None:
        raise InputError("out of memory" if student.bits == (8, 4) else "at full width")

    monkeypatch.setattr(validate, "predict", fail)
    with pytest.raises(InputError, match="at full width"):
        student_forms(student, EVALUATION, "token")
    assert (student.bits, student.rounded_by) == ((8, 4), "example")
    monkeypatch.setattr(validate, "predict", lambda *_, **__: STUDENT if student.bits == (32, 32) else fail())
    with pytest.raises(InputError, match="out of memory"):
        student_forms(student, EVALUATION, "token")
    assert (student.bits, student.rounded_by) == ((8, 4), "example")


@pytest.mark.parametrize(
    ("made", "labels", "status", "bad"),
    [
        (np.zeros((3, 2)), 2, "passed", 0),
        (np.zeros((3, 2)), 3, "failed", 0),
        (np.array([[0.0, np.nan], [np.inf, 1.0]]), 2, "failed", 2),
        (np.array([[0.0, np.nan]]), 2, "failed", 1),
        (np.array([[0.0, np.nan]]), 3, "failed", 1),
    ],
)
def test_logits_have_to_be_finite_and_one_for_each_label(made: np.ndarray, labels: int, status: Any, bad: int) -> None:
    reason = f"{bad} logits are not finite; 2 columns for {labels} labels"
    assert finite_check(made, labels) == Check(name="finite", status=status, value=bad, limit=0, reason=reason)


@pytest.mark.parametrize(
    ("values", "stage"),
    [
        ((0.9, 0.8, 0.75, 0.74), "distil"),
        ((0.9, 0.85, 0.7, 0.6), "quantize"),
        ((0.9, 0.91, 0.9, 0.8), "export"),
        ((0.9, 0.9, 0.9, 0.9), None),
        ((0.8, 0.85, 0.9, 0.91), None),
    ],
)
def test_the_stage_that_lost_most_is_blamed(values: tuple[float, ...], stage: str | None) -> None:
    names = ("teacher", "student", "quantized", "artifact")
    records = {
        name: MetricRecord(name="accuracy", value=value, n=9, low=0, high=1)
        for name, value in zip(names, values, strict=True)
    }
    assert blame(records) == stage
