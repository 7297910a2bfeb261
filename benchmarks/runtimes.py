"""One trained student on every target that it is exported to, each run in its own runtime over an evaluation set.

For each target: seconds to export, predicted and shipped bytes, the metric, relative error and agreement beside the
torch model at the target's rounding, agreement with the teacher, and, each in processes of its own, load time, the
first inference, latency, and memory above that of the libraries, once the model is loaded and at the peak: medians of
processes that take turns over all targets. Sessions run one text at a time, one thread. A runtime that is not here
leaves its cells "not run".
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
COSTS = ("load ms", "first ms, 32 tokens", "p50 ms, 32 tokens", "loaded MB", "peak MB")


def main(arguments: Sequence[str]) -> None:
    """Print a table, then one JSON line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks runtimes", description=main.__doc__)
    parser.add_argument("teacher", type=Path)
    parser.add_argument("student", type=Path, help="the student/ folder of a build")
    parser.add_argument("evaluation", type=Path)
    parser.add_argument("-t", "--target", action="append", required=True)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=5, help="processes of each target")
    options = parser.parse_args(arguments)
    timing = options.runs, options.repeats
    records = compare(options.teacher, options.student, options.evaluation, options.target, timing)
    header = list(records[0])
    print(format_table([header, *([str(record[key]) for key in header] for record in records)]))
    print(
        json.dumps(
            {"machine": platform.processor() or platform.machine(), "student": str(options.student), "targets": records}
        )
    )


def compare(
    teacher_folder: Path, folder: Path, evaluation: Path, targets: Sequence[str], timing: tuple[int, int]
) -> list[dict[str, Any]]:
    """A record for each target; `timing`: runs in a process, and processes."""
    student, teacher = load_student(folder), load_teacher(str(teacher_folder))
    with quiet_transformers():
        tokenizer = AutoTokenizer.from_pretrained(folder)
    data, longest = read_dataset(str(evaluation), teacher.task), student.config.max_position_embeddings
    encoded = encode(data, teacher.task, tokenizer, longest)
    teachers = encode(data, teacher.task, teacher.tokenizer, longest)
    logits = predict(teacher.load_model(), teachers)
    records, subjects = dict[str, dict[str, Any]](), dict[str, Subject]()
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
                records[name] = {**record_of(name, None), "export s": str(e)}
                continue
            if "artifact" in verdict.metrics:
                subjects[name] = Subject("artifact", artifact.path, name)
            predicted = model_size(student.config, target).total
            records[name] = {**record_of(name, verdict), "export s": f"{seconds:.0f}", "predicted bytes": predicted}
        for name, speed in measure(subjects, TOKENS, *timing).items():
            records[name] |= costs_of(speed)
    return list(records.values())


def record_of(name: str, verdict: Verdict | None) -> dict[str, Any]:
    """A row without its costs; what was not run says so."""
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
        "relative error": f"{parity.relative_error:.2g}" if parity else "not run",
        "agreement": f"{parity.agreement:.4f}" if parity else "not run",
        "with teacher": f"{verdict.agreement:.4f}" if verdict and verdict.agreement is not None else "not run",
        **dict.fromkeys(COSTS, "not run"),
    }


def costs_of(speed: Speed) -> dict[str, str]:
    """The rest of a row; memory is above what the libraries took before the model was loaded."""
    memory = [(found or 0) - speed.baseline_bytes for found in (speed.resident_bytes, speed.peak_bytes)]
    times = [speed.load_ms, speed.first_ms or 0, speed.p50_ms[TOKENS[0]]]
    shown = [*(f"{ms:.2f}" for ms in times), *(f"{size / 1e6:.0f}" for size in memory)]
    return dict(zip(COSTS, shown, strict=True))
