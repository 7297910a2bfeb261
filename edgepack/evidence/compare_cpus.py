"""A build's ONNX, LiteRT and ExecuTorch artifacts on ARM64 compared with this machine, over its evaluation set.

The same file runs twice: natively, and in ARM64's own runtime under emulation (`emulation.py`). Logits, labels and
the metric are compared, with the limits of parity (`forms.py`). An emulator's times mean nothing; none are
taken. Bundles that hold the same file are run once. Other formats have no runtime there: the result says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.bundle.goldens import load_tokenizer
from edgepack.bundle.manifest import BundleManifest, load_build_manifest, load_manifest, task_of
from edgepack.bundle.places import check_same, find_place
from edgepack.console import Console, format_table
from edgepack.errors import InputError
from edgepack.evidence.emulation import Machine, arm64
from edgepack.evidence.forms import MAX_RELATIVE_ERROR, MIN_AGREEMENT, FormLogits, compare
from edgepack.runtime import load
from edgepack.runtime.predict import predict_session
from edgepack.target import Target, load_target
from edgepack.task.dataset import Dataset
from edgepack.task.encoded import Encoded
from edgepack.task.examples import Columns, read_evaluation
from edgepack.task.task import Task
from edgepack.task.tokenize import encode
from edgepack.task.vector_data import read_vector_data

ARCHITECTURES: dict[str, Callable[[], Machine]] = {"arm64": arm64}
RUNTIMES = {"onnx": "ONNX Runtime", "litert": "LiteRT", "executorch": "ExecuTorch"}  # of the formats that are run
NOT_RUN = {
    "torchscript": "torch for ARM64 Linux takes 427 MB and needs CUDA's libraries",
    "coreml": "Core ML is part of Apple's systems",
    "coreai": "coreai-core has no package for ARM64 Linux",
}


@dataclass(frozen=True)
class Comparison:
    """One model file on two CPUs."""

    targets: tuple[str, ...]
    examples: int
    max_abs: float
    relative_error: float
    agreement: float
    metric_here: float
    metric_there: float
    runtime_there: str

    @property
    def passed(self) -> bool:
        """Whether labels and logits agree as closely as an artifact and its student have to."""
        return self.agreement >= MIN_AGREEMENT and self.relative_error <= MAX_RELATIVE_ERROR


@dataclass(frozen=True)
class ArchitectureResult:
    """All files of a build on another architecture."""

    architecture: str
    comparisons: tuple[Comparison, ...]
    not_run: dict[str, str] = field(default_factory=dict)  # why, by target

    @property
    def passed(self) -> bool:
        """Whether every file that was run agrees."""
        return all(comparison.passed for comparison in self.comparisons)

    @property
    def exit_code(self) -> int:
        """0 or 1."""
        return 0 if self.passed else 1

    def to_record(self) -> dict[str, Any]:
        """Plain JSON."""
        files = [{**asdict(comparison), "passed": comparison.passed} for comparison in self.comparisons]
        return {"architecture": self.architecture, "passed": self.passed, "files": files, "not_run": self.not_run}

    def table(self) -> str:
        """A line for each file."""
        figures = ["examples", "max abs", "relative", "same labels", "metric here", self.architecture]
        rows = [["targets", *figures, "verdict"]]
        for c in self.comparisons:
            figures = [str(c.examples), f"{c.max_abs:.4g}", f"{c.relative_error:.4g}", f"{c.agreement:.2%}"]
            metrics = [f"{c.metric_here:.4f}", f"{c.metric_there:.4f}"]
            rows.append([", ".join(c.targets), *figures, *metrics, "passed" if c.passed else "failed"])
        versions = ", ".join(sorted({c.runtime_there for c in self.comparisons}))
        note = f"{self.architecture} under emulation, {versions}; latency is not measured"
        return "\n".join([format_table(rows), note, *(f"{name}: not run; {why}" for name, why in self.not_run.items())])


def compare_architecture(
    output: Path, architecture: str, examples: int | None, console: Console, evaluation: str | None = None
) -> ArchitectureResult:
    """Run the bundles of the build in `output` here and there, on the first `examples` of its evaluation data.

    ONNX, LiteRT and ExecuTorch bundles are run; `InputError` where there are none, `MissingDependency` before the first
    run where a runtime, here or there, is missing.
    """
    machine, build = ARCHITECTURES[architecture](), load_build_manifest(output)
    files: dict[str, list[tuple[BundleManifest, Path, Target]]] = {}
    not_run: dict[str, str] = {}
    for artifact in build.artifacts:
        target = load_target(artifact["target"])
        if target.format not in RUNTIMES:
            not_run[target.name] = NOT_RUN[target.format]
            continue
        folder = output / str(artifact["bundle"])
        files.setdefault(artifact["sha256"], []).append((load_manifest(folder), folder, target))
    if not files:
        raise InputError(f"{output} has no ONNX, LiteRT or ExecuTorch bundle; --arch {architecture} runs those alone")
    for _, folder, target in [same[0] for same in files.values()]:
        machine.need(target.format)
        load(folder / target.file, target, threads=1)
    comparisons = []
    for same in files.values():
        manifest, folder, target = same[0]
        task, dataset = evaluation_of(output, build.inputs, task_of(manifest), evaluation)
        encoded = encode(dataset, task, load_tokenizer(folder / "tokenizer.json"), manifest.longest)
        if examples is not None:
            encoded = encoded.select(np.arange(min(examples, len(encoded))))
        names = tuple(other.name for _, _, other in same)
        console.info(f"{', '.join(names)}: {len(encoded)} examples under emulation, which takes minutes")
        with console.working(f"compare {architecture}"):
            comparisons.append(_compare(folder / target.file, target, names, encoded, task, machine))
    return ArchitectureResult(architecture, tuple(comparisons), not_run)


def evaluation_of(output: Path, inputs: dict[str, Any], task: Task, evaluation: str | None) -> tuple[Task, Dataset]:
    """The evaluation data of a build and the task as they measure it; of vectors perhaps texts that the build held out.

    `evaluation`: where they are, or others, where the user says so.
    """
    request, columns = inputs["request"], Columns(**inputs["request"]["columns"])
    if evaluation is None and task.embeds and request["evaluation"] is None:
        train = find_place(output, inputs, "train", None, "--eval")
        task, _, held_out = read_vector_data(train, None, task, columns)
        check_same("data with the texts", train, held_out.sha256, str(inputs["evaluation"]["sha256"]), "--eval")
        return task, held_out
    return read_evaluation(find_place(output, inputs, "evaluation", evaluation, "--eval"), task, columns)


def _compare(
    model: Path, target: Target, names: tuple[str, ...], encoded: Encoded, task: Task, machine: Machine
) -> Comparison:
    here = predict_session(load(model, target, threads=1), encoded)
    there, version = machine.predict(model, encoded, target.format)
    encoded = task.referenced(encoded, here)  # what is measured by a teacher's vectors is, by those of this machine
    forms = [FormLogits(name, logits, encoded, task.scoring) for name, logits in (("there", there), ("here", here))]
    parity = compare(forms[0], forms[1], 0.0)
    metric_here, metric_there = (task.score(logits, encoded) for logits in (here, there))
    return Comparison(
        targets=names,
        examples=len(encoded),
        max_abs=parity.max_abs,
        relative_error=parity.relative_error,
        agreement=parity.agreement,
        metric_here=metric_here,
        metric_there=metric_there,
        runtime_there=f"{RUNTIMES[target.format]} {version}",
    )
