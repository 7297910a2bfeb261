"""A student's speed compared with ONNX Runtime's own int8 model of the teacher, both timed in one process."""

from __future__ import annotations

import os
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

from benchmarks.latency import RUNS, export_baseline
from benchmarks.runs import Run, task_files
from benchmarks.timing import median_times
from edgepack.bundle.record import Record
from edgepack.runtime.onnxruntime import load
from edgepack.teacher import load_teacher
from edgepack.workspace import beside_folder, publish_folder

TOKENS = 32  # the length at which speed is compared


class Speed(Record):
    """Median milliseconds of an inference, one thread, batch 1, the two models in alternating runs in one process."""

    tokens: int
    artifact_ms: float
    int8_ms: float  # the teacher by `quantize_dynamic`, per channel
    # the machine's over the minute before; much above 1: measure again when it is idle
    load_average: float | None = None

    @property
    def ratio(self) -> float:
        """How many times faster than the teacher's int8 model."""
        return self.int8_ms / self.artifact_ms


def baseline(task: str, teacher: Path, work: Path) -> Path:
    """A folder with the teacher as `teacher.onnx` (fp32) and `teacher-int8.onnx`, made once."""
    folder = work / "teachers" / task
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = beside_folder(folder)
        beside.mkdir()
        export_baseline(load_teacher(str(teacher)), beside)
        publish_folder(beside, folder)
    return folder


def measure_speed(artifact: Path, int8: Path, tokens: int) -> Speed:
    """Time two ONNX files, one thread, batch 1."""
    times = median_times({path: (load(path, 1), tokens) for path in (artifact, int8)}, RUNS)
    busy = round(os.getloadavg()[0], 2)
    ours, theirs = (round(times[path], 4) for path in (artifact, int8))
    return Speed(tokens=tokens, artifact_ms=ours, int8_ms=theirs, load_average=busy)


def artifact_speed(run: Run, artifact: Path, max_length: int, shared: Path, work: Path) -> Speed:
    """Speed of an ONNX file compared with the teacher's int8 model."""
    folder = baseline(run.task, shared / task_files(run, shared, work).teacher, work)
    return measure_speed(artifact, folder / "teacher-int8.onnx", min(TOKENS, max_length))
