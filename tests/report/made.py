"""A build's folder as `edgepack build` leaves it, made of records alone: no model, no torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgepack.bundle.analysis import (
    Analysis,
    Calibration,
    ClassScore,
    Differing,
    NonInferiority,
    Robustness,
    SliceScore,
)
from edgepack.bundle.manifest import (
    BuildManifest,
    BundleManifest,
    LinearRecord,
    MetricRecord,
    PaddingRecord,
    RuntimeRecord,
    TeacherRecord,
    write_model,
)
from edgepack.bundle.verdict import Check, FormParity, IntervalRecord, Speed, Verdict
from edgepack.workspace import stage_label

HOSTILE = "<script>alert('&')</script>\"'|`[x](y)\x00\u202e"
LABELS = ("light", "music", HOSTILE)
KEY = "ab" * 32
FORMS = ("teacher", "student", "quantized", "artifact")


def analysis(labels: Sequence[str] = LABELS, decision: str = "passed") -> Analysis:
    """Something of every part."""
    count = len(labels)
    return Analysis(
        noninferiority=NonInferiority(
            margin=0.02,
            confidence=0.95,
            n=120,
            value=0.99,
            lower=0.97,
            upper=1.01,
            decision=decision,
            discordant=7,
            needed=2400,
        ),
        classes=[
            ClassScore(label=label, n=40, teacher=0.9, artifact=0.9 - 0.01 * i, low=-0.05, high=0.02)
            for i, label in enumerate(labels)
        ],
        slices=[
            SliceScore(
                kind="length",
                name="13 or more",
                n=90,
                teacher=0.9,
                artifact=0.8,
                low=-0.15,
                high=-0.05,
                p_value=0.01,
                worse=True,
            )
        ],
        calibration=Calibration(
            teacher_ece=0.02,
            artifact_ece=0.04,
            temperature=1.3,
            scaled_ece=0.018,
            teacher_confidence=0.93,
            artifact_confidence=0.96,
        ),
        robustness=[
            Robustness(change="typos", n=200, teacher_flips=10, artifact_flips=24, flips_alone=15, low=0.02, high=0.11)
        ],
        differing=[
            Differing(text=f"{HOSTILE} {i}", truth="light", teacher="light", artifact=HOSTILE, divergence=1.5 - i / 10)
            for i in range(8)
        ],
        confusion_labels=list(labels),
        teacher_confusion=[[38 if i == j else 1 for j in range(count)] for i in range(count)],
        artifact_confusion=[[36 if i == j else 2 for j in range(count)] for i in range(count)],
    )


def verdict(target: str, **changes: Any) -> Verdict:
    """A verdict that passed, with all figures."""
    metric = {"name": "accuracy", "n": 120, "low": 0.88, "high": 0.96}
    known: dict[str, Any] = {
        "target": target,
        "passed": True,
        "checks": [
            Check(name="size", status="passed", value=3_875_190.0, limit=4_000_000.0, reason="3.87519e+06"),
            Check(name="retention", status="passed", value=0.99, limit=0.98, reason="0.99; at least 0.98"),
        ],
        "metrics": {form: MetricRecord(value=0.92, **metric) for form in FORMS},
        "retention": IntervalRecord(value=0.99, low=0.981, high=1.0),
        "linear": LinearRecord(
            bytes=600_000,
            metric=MetricRecord(value=0.925, **metric),
            features="n-grams",
            trained="so",
            counts=[105, 5, 6, 4],
        ),
        "agreement": 0.98,
        "divergence": 0.004,
        "parity": [
            FormParity(
                name="artifact",
                before="quantized",
                max_abs=7e-7,
                mean_abs=8e-8,
                relative_error=7e-8,
                agreement=1.0,
                metric=0.92,
            )
        ],
        "shipped_bytes": 3_875_190,
        "budget_bytes": 4_000_000,
        "speed": {
            "artifact": Speed(
                load_ms=20.0, p50_ms={8: 0.5, 32: 1.25}, peak_bytes=80_000_000, baseline_bytes=60_000_000
            ),
            "teacher": Speed(
                load_ms=200.0, p50_ms={8: 8.0, 32: 20.0}, peak_bytes=400_000_000, baseline_bytes=380_000_000
            ),
            "teacher_int8": Speed(
                load_ms=90.0, p50_ms={8: 4.0, 32: 10.0}, peak_bytes=120_000_000, baseline_bytes=60_000_000
            ),
        },
    }
    return Verdict(**(known | changes))


def manifest(target: str, shipped: int, budget: int) -> BundleManifest:
    """The bundle's manifest."""
    return BundleManifest(
        task="text-classification",
        labels=list(LABELS),
        max_length=32,
        padding=PaddingRecord(),
        inputs=[],
        outputs=[],
        target=target,
        runtime=RuntimeRecord(name="onnxruntime", min_version="1.16"),
        files=[],
        shipped_bytes=shipped,
        budget_bytes=budget,
        metrics={},
        teacher=TeacherRecord(name=HOSTILE, sha256=KEY),
        edgepack_version="0.1.0",
        created="2026-11-27T00:00:00+00:00",
    )


def plan(targets: Sequence[str], count: int = 3) -> dict[str, Any]:
    """Some candidates and where the first one's bytes go."""
    return {
        "budget_bytes": 4_000_000,
        "note": "",
        "candidates": [
            {
                "layers": 4,
                "heads": [3, 2],
                "ffn": 288,
                "embedding": 128,
                "vocabulary": 1478,
                "body_bits": 8,
                "embedding_bits": 4,
                "estimated_loss": 0.006 + i / 1000,
                "estimated_speed": 2.3,
                "bytes": {target: 3_875_190 - 200_000 * i for target in targets},
            }
            for i in range(count)
        ],
        "tensors": {
            target: {
                "embeddings.word.codes": 1_200_000,
                "attention.0.qkv.codes": 900_000,
                "feed_forward.0.up.codes": 1_500_000,
                HOSTILE: 20_000,
            }
            for target in targets
        },
        "tokenizer_bytes": 15_000,
    }


def write_build(folder: Path, verdicts: Sequence[Verdict], **changes: Any) -> Path:
    """The folder with a bundle for each verdict and the losses of one stage; `changes` are the manifest's."""
    targets = [each.target for each in verdicts]
    for each in verdicts:
        place = folder / "bundles" / each.target
        place.mkdir(parents=True)
        write_model(place / "edgepack.json", manifest(each.target, each.shipped_bytes, each.budget_bytes))
        write_model(place / "verdict.json", each)
    trained = folder / ".edgepack" / "stages" / stage_label("distil", KEY) / "result"
    trained.mkdir(parents=True)
    losses = [3 / (1 + step) for step in range(500)]
    (trained / "progress.json").write_text(json.dumps({"step": 500, "losses": [*losses, float("nan")]}))
    known: dict[str, Any] = {
        "inputs": {"teacher": {"path": "teacher", "sha256": KEY, "bytes": 44_000_000}},
        "plan": plan(targets),
        "stages": [{"name": "plan", "key": KEY, "seconds": 0.01}, {"name": "distil", "key": KEY, "seconds": 200.0}],
        "versions": {"edgepack": "0.1.0"},
        "seed": 3,
        "metrics": {},
        "artifacts": [{"target": target, "bundle": f"bundles/{target}", "passed": True} for target in targets],
        "created": "2026-11-27T00:00:00+00:00",
    }
    write_model(folder / "edgepack.json", BuildManifest(**(known | changes)))
    return folder
