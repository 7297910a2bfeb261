"""The whole flow on the demo's task, with nothing to download, in a few minutes on two cores.

Data from the grammar, a base checkpoint made here, a teacher fine-tuned from it, a build for two
targets at 1 MB, the gate, and one table. Each step is what a user would call with their own files.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgepack._version import __version__
from edgepack.build.flow import build
from edgepack.build.inputs import BuildRequest
from edgepack.bundle.linear import compared
from edgepack.bundle.manifest import BundleManifest, load_manifest, read_model
from edgepack.bundle.verdict import VERDICT_NAME, Verdict
from edgepack.console import Console
from edgepack.demo.base import write_base
from edgepack.demo.grammar import write_demo
from edgepack.errors import InputError
from edgepack.evidence.gate import gate
from edgepack.evidence.outcome import GateResult
from edgepack.finetune import Options, finetune
from edgepack.workspace import hash_json, named_output, sha256_file

BUDGET_BYTES = 1_000_000
TARGETS = ("android-onnx", "android-torchscript")
# The rate is high for fine-tuning: the base is random. Nothing is held out: the grammar's phrasings in the training
# data are soon known by heart, and say nothing of those in the evaluation data.
OPTIONS = Options(epochs=5, batch_size=32, learning_rate=5e-4, label_smoothing=0.0, held_out=0.0)


@dataclass(frozen=True)
class DemoResult:
    """What the demo's table shows, and whether the gate passed."""

    passed: bool
    output: Path
    teacher: Path
    rows: tuple[tuple[str, ...], ...]
    note: str = ""  # of the linear model that was compared with

    def to_record(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        header, *rows = self.rows
        columns = {name: {row[0]: row[i] for row in rows} for i, name in enumerate(header) if i}
        return {"passed": self.passed, "output": str(self.output), "columns": columns}

    def table(self) -> str:
        """The summary, for someone who sees edgepack for the first time."""
        widths = [max(len(row[i]) for row in self.rows) for i in range(len(self.rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in self.rows]
        verdict = "The gate passed." if self.passed else "The gate did not pass; `edgepack gate` shows why."
        data = self.output / "data"
        by_hand = (
            f"edgepack build -m {self.teacher} -d {data / 'train.tsv'} --eval {data / 'test.tsv'} -b 1MB "
            f"-t {TARGETS[0]} -o out"
        )
        made = self.output / "build"
        places = [f"Bundles to ship: {made / 'bundles'}", f"Report: {made / 'report.html'}", f"By hand: {by_hand}"]
        return "\n".join([*lines, "", *([self.note] if self.note else []), verdict, *places])


def run_demo(output: Path, console: Console) -> DemoResult:
    """Write everything into `output`; an interrupted demo resumes."""
    if output.exists() and not (output / "data" / "train.tsv").is_file() and any(output.iterdir()):
        raise InputError(f"output {output} holds files of something else; give a new or empty folder with -o")
    with named_output(output):
        train, test = write_demo(output / "data")
    console.info(f"data: assistant commands in {train} and {test}; the test's phrasings are held out of training")
    teacher = _teacher(output, train, test, console)
    request = BuildRequest(
        teacher=str(teacher),
        train=str(train),
        evaluation=str(test),
        budget_bytes=BUDGET_BYTES,
        targets=TARGETS,
        output=output / "build",
        effort="quick",
    )
    build(request, console)
    bundles = [output / "build" / "bundles" / target for target in TARGETS]
    gated = gate(bundles, console=console)
    return DemoResult(gated.passed, output, teacher, _rows(teacher, gated), linear_note(load_manifest(bundles[0])))


def _teacher(output: Path, train: Path, test: Path, console: Console) -> Path:
    """The teacher for this data and these settings, trained where it is not there yet."""
    settings = [__version__, sha256_file(train), sha256_file(test), asdict(OPTIONS)]
    folder = output / f"teacher-{hash_json(settings)[:8]}"
    if folder.exists():
        return folder
    base = write_base(output / "base", train)
    console.info(f"teacher: fine-tuning {base} to {folder}")
    finetune(
        str(base),
        str(train),
        str(test),
        folder,
        options=OPTIONS,
        console=console,
    )
    return folder


def _rows(teacher: Path, gated: GateResult) -> tuple[tuple[str, ...], ...]:
    """A header and a row for each figure; columns: what, the teacher, each bundle."""
    folders = [bundle.folder for bundle in gated.bundles]
    manifests = [load_manifest(folder) for folder in folders]
    verdicts = [read_model(folder / VERDICT_NAME, Verdict) for folder in folders]
    teacher_bytes = sum((teacher / name).stat().st_size for name in ("model.safetensors", "tokenizer.json"))
    accuracies = [manifests[0].metrics["teacher"].value, *(each.metrics["artifact"].value for each in manifests)]
    return (
        ("", "teacher", *(manifest.target for manifest in manifests)),
        ("size", _megabytes(teacher_bytes), *(_megabytes(manifest.shipped_bytes) for manifest in manifests)),
        ("accuracy on unseen phrasings", *(f"{accuracy:.1%}" for accuracy in accuracies)),
        (
            "share of the teacher's accuracy",
            "100.0%",
            *(f"{accuracy / accuracies[0]:.1%}" for accuracy in accuracies[1:]),
        ),
        ("time for one command, here", *_times(verdicts)),
        ("gate", "-", *("failed" if bundle.failures else "passed" for bundle in gated.bundles)),
    )


def linear_note(manifest: BundleManifest) -> str:
    """What the comparison with a linear model says here, and why; empty where none was trained."""
    if manifest.linear is None:
        return ""
    said = f"Compared with the cheap baseline: {compared(manifest.linear, manifest.metrics['artifact'])}."
    if manifest.linear.metric.value <= manifest.metrics["artifact"].value:
        return said
    why = "The demo's sentences are simple, and its teacher began with random weights: a base that has read much text"
    return f"{said}\n{why} knows more words."


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.2f} MB"


def _times(verdicts: list[Verdict]) -> list[str]:
    """p50 at the fewest tokens that were measured, of the teacher and of each artifact."""
    speeds = [verdicts[0].speed.get("teacher"), *(verdict.speed.get("artifact") for verdict in verdicts)]
    return [f"{speed.p50_ms[min(speed.p50_ms)]:.1f} ms" if speed and speed.p50_ms else "not run" for speed in speeds]
