"""`edgepack profile`: small models of many shapes with random weights, exported and timed on this machine.

Weights do not change how long a model takes. The shapes lie around those that plans choose: 1 to 12 layers, hidden
sizes 128 to 768, few heads and many. All run at the target's first bit width, a few of them at every other, each in a
process of its own, one at a time (`measure.py`). All run once before any runs again, and of a model the fastest of its
rounds counts: other programs, and a processor that clocks down for half a minute, only slow. What is estimated from
them is said with its error: each shape's times are estimated from the models of all others.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from edgepack._version import __version__
from edgepack.bundle.manifest import model_text
from edgepack.console import Console, format_table
from edgepack.evidence.measure import TOKEN_COUNTS, Subject, measure_once
from edgepack.evidence.speed_profile import ProfiledModel, RuntimeProfile, SpeedProfile, error_figures
from edgepack.export import export
from edgepack.plan.speed_fit import errors_left_out
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.target import Target, load_target
from edgepack.workspace import write_output

RUNS, ROUNDS = 20, 3  # of each model at each length, and of all models
MOST_BUSY = 1.7  # processes that want to run, this command's own included
PACKAGES = {  # of runtimes that are one
    "onnxruntime": "onnxruntime",
    "pytorch-lite": "torch",
    "executorch": "executorch",
    "litert": "ai-edge-litert",
    "coreml": "coremltools",
}
LABELS = {"text-classification": 0, "token-classification": 9}  # of each token


@dataclass(frozen=True)
class Probe:
    """The shape of a model to time; `tags`: its head answers every token. Heads have 32 units, or `head_size`."""

    layers: int
    hidden: int
    heads: int
    ffn: int
    embedding: int = 64
    vocabulary: int = 2_000
    tags: bool = False
    head_size: int = 32

    @property
    def task(self) -> str:
        """The task of its head."""
        return "token-classification" if self.tags else "text-classification"

    def config(self, target: Target, bits: int) -> StudentConfig:
        """As a student; the word table has the body's width where the target can run that."""
        layers, labels = range(self.layers), range(LABELS[self.task] or 2)
        return StudentConfig(
            vocab_size=self.vocabulary,
            embedding_size=self.embedding,
            embedding_projection="linear",
            hidden_size=self.hidden,
            num_hidden_layers=self.layers,
            num_heads=[self.heads for _ in layers],
            head_sizes=[self.head_size for _ in layers],
            intermediate_sizes=[self.ffn for _ in layers],
            max_position_embeddings=max(TOKEN_COUNTS),
            id2label={label: str(label) for label in labels},
            task=self.task,
            head_act=None if self.tags else "tanh",
            body_bits=bits,
            embedding_bits=bits if bits in target.embedding_bits else target.embedding_bits[0],
        )


OFTEN = (Probe(2, 128, 2, 256), Probe(6, 384, 2, 256), Probe(3, 384, 12, 1536, vocabulary=8_000))  # at every width
PROBES = (
    *OFTEN,
    Probe(4, 128, 4, 512, embedding=32),
    Probe(1, 384, 4, 512, embedding=128, vocabulary=8_000),
    Probe(6, 384, 6, 768, tags=True),
    Probe(4, 256, 8, 1024, tags=True, vocabulary=16_000),
    Probe(6, 384, 12, 512, embedding=128),
    Probe(6, 256, 1, 64, embedding=128, vocabulary=16_000),
    Probe(2, 768, 4, 1024, head_size=64),
    Probe(1, 768, 12, 3072, head_size=64, embedding=128),
    Probe(1, 384, 2, 64, tags=True),
    Probe(12, 128, 2, 512, head_size=64),
)


@dataclass(frozen=True, eq=False)
class ProfileResult:
    """A profile, the file that it was written to, and the errors of shapes left out, by runtime."""

    profile: SpeedProfile
    path: Path
    errors: dict[str, list[float]]

    def to_record(self) -> dict[str, Any]:
        """As JSON: the file, and how well the estimate does on shapes that it was not fitted to."""
        return {
            "path": str(self.path),
            "device": self.profile.device,
            "runtimes": {
                each.runtime: {"models": len(each.models), **error_figures(self.errors[each.runtime])}
                for each in self.profile.runtimes
            },
        }

    def table(self) -> str:
        """A line for each runtime."""
        rows = [["runtime", "models", "median error", "largest error"]]
        for name, figures in self.to_record()["runtimes"].items():
            errors = [f"{figures[key]:.1%}" for key in ("median_error", "largest_error")]
            rows.append([name, str(figures["models"]), *errors])
        said = "errors: of a shape's times, estimated from all other shapes"
        used = f"written to {self.path}; plan and build take it with --speed-profile"
        return "\n".join([f"{self.profile.device}, {self.profile.os}", format_table(rows), said, used])


def profile_machine(targets: Sequence[str], path: Path, console: Console) -> ProfileResult:
    """Time the models in the runtime of each target, and write the profile to `path`.

    Targets whose files run alike are measured once.
    """
    found = [load_target(name) for name in dict.fromkeys(targets)]
    different = list({(target.runtime, target.static_shape): target for target in reversed(found)}.values())
    runtimes = [profile_runtime(target, console) for target in reversed(different)]
    busy = os.getloadavg()[0]  # over the minute before, in which this command ran one process at a time
    if busy > MOST_BUSY:
        console.warn(f"this machine is busy (load {busy:.1f}): times are too long; measure again when it is idle")
    profile = SpeedProfile(
        device=processor_name(),
        os=f"{platform.system()} {platform.release()}",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        edgepack_version=__version__,
        load_average=round(busy, 2),
        runtimes=runtimes,
    )
    write_output(path, (model_text(profile) + "\n").encode())
    return ProfileResult(profile, path, {each.runtime: errors_left_out(each.timed()) for each in runtimes})


def profile_runtime(target: Target, console: Console) -> RuntimeProfile:
    """Export and time every model of a profile for one target."""
    return RuntimeProfile(
        runtime=target.runtime,
        version=runtime_version(target),
        static_shape=target.static_shape,
        models=time_models(target, probes_of(target), console),
    )


def probes_of(target: Target) -> list[tuple[Probe, int]]:
    """The shapes of a profile, each with the bit width of its body."""
    first, *others = target.body_bits
    return [(probe, first) for probe in PROBES] + [(probe, bits) for bits in others for probe in OFTEN]


def time_models(target: Target, wanted: Sequence[tuple[Probe, int]], console: Console) -> list[ProfiledModel]:
    """Export and time a model for each shape and bit width of its body."""
    configs = [probe.config(target, bits) for probe, bits in wanted]
    with TemporaryDirectory() as folder:
        subjects = []
        with console.progress(f"export {target.runtime}", len(wanted)) as advance:
            for number, config in enumerate(configs):
                torch.manual_seed(0)
                artifact = export(Student(config).eval(), target, Path(folder) / str(number))
                subjects.append(Subject("artifact", artifact.path, target.name))
                advance()
        samples: list[list[dict[str, Any]]] = [[] for _ in subjects]
        with console.progress(f"profile {target.runtime}", len(wanted) * ROUNDS) as advance:
            for _ in range(ROUNDS):
                for subject, own in zip(subjects, samples, strict=True):
                    own.append(measure_once(subject, TOKEN_COUNTS, RUNS))
                    advance()
    return [profiled(probe, config, own) for (probe, _), config, own in zip(wanted, configs, samples, strict=True)]


def profiled(probe: Probe, config: StudentConfig, samples: Sequence[dict[str, Any]]) -> ProfiledModel:
    """A model's shape and the fastest of its samples."""
    p50_ms = {tokens: min(sample["p50_ms"][str(tokens)] for sample in samples) for tokens in TOKEN_COUNTS}
    return ProfiledModel(
        layers=probe.layers,
        heads=probe.heads,
        head_size=probe.head_size,
        ffn=probe.ffn,
        hidden=probe.hidden,
        embedding=probe.embedding,
        vocabulary=probe.vocabulary,
        token_labels=LABELS[probe.task],
        body_bits=config.body_bits,
        embedding_bits=config.embedding_bits,
        p50_ms={tokens: round(ms, 4) for tokens, ms in p50_ms.items()},
        peak_bytes=max(1, *(sample["peak_bytes"] - sample["baseline_bytes"] for sample in samples)),
    )


def runtime_version(target: Target) -> str:
    """Of the package that a target's files ran in; empty where the runtime is none."""
    try:
        return version(PACKAGES[target.runtime])
    except (KeyError, PackageNotFoundError):
        return ""


def processor_name() -> str:
    """This machine's processor, as the system calls it."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8", errors="replace").splitlines() if information.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next((name for name in names if name), platform.processor() or platform.machine())
