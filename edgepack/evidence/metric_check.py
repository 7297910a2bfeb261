"""The gate's check of a metric: measured again on evaluation data, in the bundle's own runtime."""

from __future__ import annotations

from pathlib import Path

from edgepack.bundle.goldens import load_tokenizer
from edgepack.bundle.manifest import BundleManifest
from edgepack.bundle.verdict import MAX_DROP, Check, limit_check
from edgepack.evidence.policy import Policy
from edgepack.runtime import load
from edgepack.runtime.predict import predict_session
from edgepack.target import load_target
from edgepack.task.examples import read_dataset
from edgepack.task.metric import Task
from edgepack.task.tokenize import encode

METRIC_SLACK = 0.005  # re-measured on another CPU, whose int8 kernels round differently


def metric_check(folder: Path, manifest: BundleManifest, evaluation: str | None, policy: Policy) -> Check:
    """Measure the metric again: it must be the recorded one, or on other data hold the policy's drop."""
    if evaluation is None:
        return Check(name="metric", status="not_run", reason="no evaluation data was given; pass --eval")
    task = Task(manifest.task, tuple(manifest.labels), manifest.pair)
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    encoded = encode(read_dataset(evaluation, task), task, tokenizer, manifest.max_length)
    target = load_target(manifest.target)
    logits = predict_session(load(folder / target.file, target, threads=1), encoded)
    value = task.score(logits, encoded)
    recorded, teacher = manifest.metrics.get("artifact"), manifest.metrics.get("teacher")
    if recorded is not None and recorded.n == len(encoded):
        what = f"{task.metric_name} measured again ({recorded.value:.4f} recorded)"
        return limit_check("metric", value, recorded.value - METRIC_SLACK, False, what)
    if teacher is None:
        return Check(name="metric", status="not_run", value=value, reason="the manifest holds no teacher metric")
    limit = teacher.value * (1 - (MAX_DROP if policy.max_drop is None else policy.max_drop))
    return limit_check("metric", value, limit, False, f"{task.metric_name} on {len(encoded)} other examples")
