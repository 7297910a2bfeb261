"""One trained student on every target that it is exported to, each run in its own runtime over an evaluation set.

For each target: seconds to export, predicted and shipped bytes, the metric, relative error and agreement beside the
torch model at the target's rounding, agreement with the teacher, and, each in a process of its own, load time, the
first inference, latency, and memory above that of the libraries, once the model is loaded and at the peak. Sessions run
one text at a time, one thread. A runtime that is not here leaves its cells "not run".
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

from transformers import AutoTokenizer

from edgepack.bundle.verdict import Speed, Verdict
from edgepack.console import format_table
from edgepack.errors import MissingDependency
from edgepack.evidence.measure import Subject, measure
from edgepack.evidence.validate import Limits, Reference, validate_artifact
from edgepack.export import artifact_bytes, export
from edgepack.inference import predict
from edgepack.plan.size import model_size
from edgepack.student.folder import load_student
from edgepack.target import load_target
from edgepack.task.examples import read_dataset
from edgepack.task.tokenize import encode
from edgepack.teacher import load_teacher, quiet_transformers

TOKENS = (32,)


def main(arguments: Sequence[str]) -> None:
    """Print a table, then one JSON line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks runtimes", description=main.__doc__)
    parser.add_argument("teacher", type=Path)
    parser.add_argument("student", type=Path, help="the student/ folder of a build")
    parser.add_argument("evaluation", type=Path)
    parser.add_argument("-t", "--target", action="append", required=True)
    parser.add_argument("--runs", type=int, default=50)
    options = parser.parse_args(arguments)
    records = compare(options.teacher, options.student, options.evaluation, options.target, options.runs)
    header = list(records[0])
    print(format_table([header, *([str(record[key]) for key in header] for record in records)]))
    print(
        json.dumps(
            {"machine": platform.processor() or platform.machine(), "student": str(options.student), "targets": records}
        )
    )


def compare(
    teacher_folder: Path, folder: Path, evaluation: Path, targets: Sequence[str], runs: int
) -> list[dict[str, Any]]:
    """A record for each target."""
    student, teacher = load_student(folder), load_teacher(str(teacher_folder))
    with quiet_transformers():
        tokenizer = AutoTokenizer.from_pretrained(folder)
    data, longest = read_dataset(str(evaluation), teacher.task), student.config.max_position_embeddings
    encoded = encode(data, teacher.task, tokenizer, longest)
    teachers = encode(data, teacher.task, teacher.tokenizer, longest)
    logits = predict(teacher.load_model(), teachers)
    records = []
    with TemporaryDirectory() as scratch:
        for name in targets:
            target = load_target(name)
            started = time.perf_counter()
            try:
                artifact = export(student, target, Path(scratch) / name)
                seconds = time.perf_counter() - started
                verdict = validate_artifact(
                    artifact.path,
                    target,
                    Reference(teacher.task, student, encoded, logits, teachers),
                    Limits(budget_bytes=artifact.size_bytes),
                    shipped_bytes=artifact_bytes(artifact.path),
                )
            except MissingDependency as e:
                records.append({**record_of(name, None), "export s": str(e)})
                continue
            if "artifact" in verdict.metrics:
                subject = {"artifact": Subject("artifact", artifact.path, name)}
                verdict = verdict.model_copy(update={"speed": measure(subject, TOKENS, runs)})
            predicted = model_size(student.config, target).total
            records.append({**record_of(name, verdict), "export s": f"{seconds:.0f}", "predicted bytes": predicted})
    return records


def record_of(name: str, verdict: Verdict | None) -> dict[str, Any]:
    """A row; what was not run says so."""
    speed = verdict.speed.get("artifact") if verdict else None
    metric = verdict.metrics.get("artifact") if verdict else None
    student = verdict.metrics.get("student") if verdict else None
    parity = verdict.parity[-1] if verdict and metric else None
    return {
        "target": name,
        "export s": "not run",
        "model bytes": verdict.shipped_bytes if verdict else "not run",
        "predicted bytes": "not run",
        "metric": f"{metric.value:.4f}" if metric else "not run",
        "fp32 student": f"{student.value:.4f}" if student else "not run",
        "relative error": f"{parity.relative_error:.4f}" if parity else "not run",
        "agreement": f"{parity.agreement:.4f}" if parity else "not run",
        "with teacher": f"{verdict.agreement:.4f}" if verdict and verdict.agreement is not None else "not run",
        "load ms": f"{speed.load_ms:.1f}" if speed else "not run",
        "first ms, 32 tokens": f"{speed.first_ms:.1f}" if speed else "not run",
        "p50 ms, 32 tokens": f"{speed.p50_ms[TOKENS[0]]:.2f}" if speed else "not run",
        "loaded MB": above(speed, speed.resident_bytes) if speed else "not run",
        "peak MB": above(speed, speed.peak_bytes) if speed else "not run",
    }


def above(speed: Speed, resident_bytes: int | None) -> str:
    """Megabytes above what the libraries took before the model was loaded."""
    return "not measured" if resident_bytes is None else f"{(resident_bytes - speed.baseline_bytes) / 1e6:.0f}"
