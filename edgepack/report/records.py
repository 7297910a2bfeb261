"""What a report shows, read from a build's folder. Writing manifests and verdicts belongs to `bundle`.

Parts that another version wrote in another form, or that were removed since (the workspace), are absent here; the
report then says so. Nothing here needs a model or torch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError

from edgepack.bundle.analysis import Analysis
from edgepack.bundle.manifest import (
    BuildManifest,
    BundleManifest,
    artifact_sha256,
    load_build_manifest,
    load_manifest,
    read_bounded,
    read_model,
)
from edgepack.bundle.record import Record
from edgepack.bundle.verdict import VERDICT_NAME, Check, Verdict
from edgepack.errors import InputError
from edgepack.evidence.compare_runtimes import RuntimePair
from edgepack.evidence.device import DeviceReport, read_device_report, refuse_foreign
from edgepack.workspace import HIDDEN_FOLDER, stage_label

STATUSES = ("failed", "undecided", "not_run")  # the worst first
LOSSES = "result/progress.json"  # in the folder of a training stage
MOST_BYTES = 10**15  # a larger figure is no size of a file
MOST = 1e9  # of a loss or an estimate: pygal has no axis for 1e300
MOST_POINTS = 200  # of a plan's front
CURVE_POINTS = 120  # more would be finer than a picture's dots
Figure = Annotated[float, Field(ge=-MOST, le=MOST)]
ByteCount = Annotated[int, Field(ge=0, le=MOST_BYTES)]


class PlanCandidate(Record):
    """A shape with its estimates, as `Candidate.describe` writes it."""

    layers: int
    estimated_loss: Figure
    estimated_speed: Figure
    bytes: dict[str, ByteCount]
    heads: Any = None
    ffn: Any = None
    embedding: int | None = None
    vocabulary: int | None = None
    body_bits: int | None = None
    embedding_bits: int | None = None
    estimated_ms: Figure | None = None
    estimated_memory_bytes: ByteCount | None = None
    trial_divergence: Figure | None = None
    trial_examples: int | None = None


class FrontRecord(PlanCandidate):
    """A shape on the plan's front, as `FrontPoint.to_record` writes it."""

    at_least: Figure


class LatencyRecord(Record):
    """The limit of time that a build was asked for, as `Wanted.to_record` writes it."""

    ms: float = Field(gt=0, le=MOST)
    tokens: int = Field(gt=0)


class TimesRecord(Record):
    """What the plan's times are of."""

    tokens: int


class PlanRecord(Record):
    """The plan, as `PlanReport.full_record` writes it."""

    budget_bytes: ByteCount
    candidates: list[PlanCandidate] = Field(min_length=1)
    front: list[FrontRecord] = Field(default_factory=list, max_length=MOST_POINTS)
    tensors: dict[str, dict[str, ByteCount]] = Field(default_factory=dict)
    tokenizer_bytes: ByteCount = 0
    note: str | None = None
    max_latency: LatencyRecord | None = None
    times: TimesRecord | None = None


class StageSeconds(Record):
    """A stage with the seconds of the run that finished it."""

    name: str
    key: str = ""
    seconds: float = Field(ge=0, allow_inf_nan=False)


@dataclass(frozen=True)
class Curve:
    """A training stage's loss: means of neighbouring steps, counted from the first training stage on."""

    name: str
    points: tuple[tuple[float, float], ...]
    steps: int


@dataclass(frozen=True, eq=False)
class BundleFacts:
    """One target's bundle."""

    manifest: BundleManifest
    verdict: Verdict

    @property
    def name(self) -> str:
        """The target's."""
        return self.manifest.target

    @property
    def analysis(self) -> Analysis | None:
        """What lies behind the metric, where it was recorded."""
        return self.verdict.analysis

    @property
    def status(self) -> str:
        """`passed`, or the worst status of a check."""
        found = {check.status for check in self.verdict.checks}
        worst = next((status for status in STATUSES if status in found), None)
        return worst or ("passed" if self.verdict.passed else "failed")

    @property
    def open_checks(self) -> list[Check]:
        """Those that did not pass."""
        return [check for check in self.verdict.checks if check.status != "passed"]

    @property
    def timed_teacher(self) -> str:
        """The form of the teacher that speed is compared with: its int8 model; torch's fp32 in verdicts without one."""
        return "teacher_int8" if "teacher_int8" in self.verdict.speed else "teacher"

    @property
    def tokens(self) -> int | None:
        """The largest token count that both artifact and `timed_teacher` were timed at, else that of the artifact."""
        speed, teacher = self.verdict.speed, self.timed_teacher
        mine = set(speed["artifact"].p50_ms) if "artifact" in speed else set()
        both = mine & set(speed[teacher].p50_ms) if teacher in speed else set()
        return max(both or mine, default=None)

    def p50_ms(self, model: str) -> float | None:
        """The median latency at `tokens`."""
        speed = self.verdict.speed.get(model)
        found = None if speed is None or self.tokens is None else speed.p50_ms.get(self.tokens)
        return found if found is not None and 0 <= found < math.inf else None


@dataclass(frozen=True, eq=False)
class Facts:
    """All of a build."""

    folder: Path
    build: BuildManifest
    bundles: tuple[BundleFacts, ...]
    devices: tuple[DeviceReport, ...] = ()

    @cached_property
    def plan(self) -> PlanRecord | None:
        """The plan; None where it is in no form that is known."""
        return _read(PlanRecord, self.build.plan)

    @cached_property
    def stages(self) -> list[StageSeconds]:
        """The stages that have a time."""
        return [stage for each in self.build.stages if (stage := _read(StageSeconds, each)) is not None]

    @cached_property
    def pairs(self) -> list[RuntimePair]:
        """Runtimes compared with each other."""
        return [pair for each in self.build.runtimes if (pair := _read(RuntimePair, each)) is not None]

    @property
    def teacher_bytes(self) -> int | None:
        """Bytes of the teacher's files; builds of older versions did not record them."""
        teacher = self.build.inputs.get("teacher")
        found = teacher.get("bytes") if isinstance(teacher, dict) else None
        return found if isinstance(found, int) and 0 < found <= MOST_BYTES else None

    @cached_property
    def curves(self) -> list[Curve]:
        """Losses of the training stages, in their order."""
        found, first = [], 0
        for stage in self.stages:
            losses = _losses(self.folder, stage)
            if losses:
                found.append(Curve(stage.name, tuple(_thinned(losses, first)), len(losses)))
                first += len(losses)
        return found


def read_facts(folder: Path, device_reports: Sequence[Path] = ()) -> Facts:
    """The build in `folder`, with what devices measured; `InputError` where it is none, or they are of another."""
    build = load_build_manifest(folder)
    bundles = []
    for artifact in build.artifacts:
        place = folder / str(artifact.get("bundle", ""))
        if not place.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"{folder}: bundle {artifact.get('bundle')!r} is outside the build; build again")
        manifest, verdict = load_manifest(place), read_model(place / VERDICT_NAME, Verdict)
        for name in ("shipped_bytes", "budget_bytes"):
            if not 0 <= getattr(manifest, name) <= MOST_BYTES:
                raise InputError(f"{place}: {name} is no size of a file; build again")
        bundles.append(BundleFacts(manifest, verdict))
    devices = tuple(read_device_report(path) for path in device_reports)
    refuse_foreign(devices, {artifact_sha256(bundle.manifest) for bundle in bundles} if devices else set())
    return Facts(folder, build, tuple(bundles), devices)


Known = TypeVar("Known", bound=Record)


def _read(kind: type[Known], value: Any) -> Known | None:
    try:
        return kind.model_validate(value)
    except ValidationError:
        return None


def _losses(folder: Path, stage: StageSeconds) -> list[float]:
    """The stage's losses by step; none where it trained nothing or its folder was removed."""
    stages = folder / HIDDEN_FOLDER / "stages"
    path = stages / stage_label(stage.name, stage.key) / LOSSES
    if not path.resolve().is_relative_to(stages.resolve()):
        return []
    try:
        losses = json.loads(read_bounded(path))["losses"]
    except (InputError, ValueError, KeyError, TypeError, RecursionError):
        return []
    wanted = losses if isinstance(losses, list) else []
    return [float(loss) for loss in wanted if isinstance(loss, int | float) and abs(loss) <= MOST]


def _thinned(losses: Sequence[float], first: int) -> list[tuple[float, float]]:
    """Means of so many neighbouring steps that few points are left."""
    width = max(1, -(-len(losses) // CURVE_POINTS))
    parts = [losses[start : start + width] for start in range(0, len(losses), width)]
    middles = [
        first + start + (len(part) + 1) / 2 for start, part in zip(range(0, len(losses), width), parts, strict=True)
    ]
    return [(middle, sum(part) / len(part)) for middle, part in zip(middles, parts, strict=True)]
