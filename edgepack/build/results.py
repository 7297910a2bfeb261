"""What `plan` and `build` report: as a table for people and as JSON for machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from edgepack.build.data_plan import DataPlan
from edgepack.build.duration import TrainingTime
from edgepack.build.linear import as_record, said_of
from edgepack.bundle.growth import Growth, growth_of
from edgepack.bundle.latency import MeasuredLatency, measured_latency
from edgepack.bundle.linear import compared
from edgepack.bundle.manifest import artifact_sha256
from edgepack.bundle.verdict import Verdict
from edgepack.bundle.write import Bundle
from edgepack.console import format_table
from edgepack.errors import CheckFailed, MissingDependency
from edgepack.evidence.linear.measure import LinearResult
from edgepack.parameters import LatencyLimit, format_duration, format_size
from edgepack.plan.byte_rows import byte_rows
from edgepack.plan.candidate import Candidate
from edgepack.plan.search import Plan
from edgepack.plan.size import model_size
from edgepack.student.config import StudentConfig, changed_config
from edgepack.target import Target, load_target
from edgepack.workspace import hash_json

SHAPE_COLUMNS = {  # name in `Candidate.describe` → in the table
    "layers": "layers",
    "heads": "heads",
    "ffn": "ffn",
    "embedding": "embedding",
    "vocabulary": "tokens",
    "head": "head units",
}
LEGEND = (
    "bits: layers / word table; score: what candidates are ranked by, lower is better; est. speed: compared with the "
    "teacher in int8; last columns: bytes that ship\n"
    "The score is no forecast of this build: it estimates the % of the metric that a short training loses. Of the "
    "recorded `standard` builds all but two lost less (docs/plan.md)"
)

TRIALS = (
    "short KL: how far a short training was from the teacher on training examples held out, and the examples that it "
    "saw; those that came further stand first (--search)"
)


@dataclass(frozen=True, eq=False)
class PlanReport:
    """The plan with its runners-up; `show_tensors`: the table shows where the bytes of the first go.

    `linear`: what a linear model reaches within the same budget, where it was trained.
    """

    plan: Plan
    data: DataPlan
    show_tensors: bool = False
    # of `edgepack plan` alone: a build's record is the same every time
    time: TrainingTime | None = None
    linear: LinearResult | None = None
    start: str | None = None  # of which teacher the student has no layer, and what that means; None: it is carved

    @property
    def chosen(self) -> Candidate:
        """What a build would make."""
        return self.plan.chosen

    def to_record(self) -> dict[str, Any]:
        """Candidates, the chosen one first, with its bytes by tensor on each target; what training it takes."""
        chosen = self.plan.chosen
        measured: dict[str, Any] = {} if self.time is None else {"time": asdict(self.time)}
        if self.linear is not None:
            measured["linear"] = {**as_record(self.linear), "seconds": round(self.linear.seconds, 1)}
        return {
            **measured,
            "start": self.start_line(),
            "budget_bytes": self.plan.budget_bytes,
            **self.plan.wanted.to_record(),
            "note": self.plan.note,
            "candidates": [candidate.describe() for candidate in self.plan.candidates],
            "front": [point.to_record() for point in self.plan.front],
            "tensors": {name: dict(size.tensors) for name, size in chosen.sizes.items()},
            "tokenizer_bytes": chosen.vocabulary.asset_bytes,
            "training": self.data.to_record(),
        }

    def start_line(self) -> str:
        """What the student that training starts from is made of."""
        if self.start is not None:
            return self.start
        layers = ", ".join(str(layer + 1) for layer in self.plan.chosen.layers)
        return f"the student is carved from the teacher's layers {layers}"

    def time_lines(self) -> list[str]:
        """What short trainings and estimated times are, where there are some."""
        wanted, lines = self.plan.wanted, []
        if self.chosen.trial_divergence is not None:
            lines.append(TRIALS)
        if not wanted.estimates_time:
            return lines
        limit = "" if wanted.latency is None else f"; at most {wanted.latency} is allowed"
        if wanted.machines is None:
            return [
                *lines,
                f"ms: estimated by figures of another machine, x86 with AVX-512 VNNI in ONNX Runtime{limit}; "
                "`edgepack profile` measures this one, for --speed-profile",
            ]
        return [*lines, f"ms and memory: estimated by the speed profile, of the target that takes most{limit}"]

    def full_record(self) -> dict[str, Any]:
        """The same with the chosen shape in full; its vocabulary map by hash, being long."""
        shape = self.plan.chosen.config
        vocab_map = None if shape.vocab_map is None else hash_json(shape.vocab_map)
        return {**self.to_record(), "shape": {**shape.to_dict(), "vocab_map": vocab_map}}

    def as_built(self, student: StudentConfig, targets: Sequence[Target]) -> PlanReport:
        """The plan with the bytes of the student that was made: without a wide table where none helped."""
        chosen, *others = self.plan.candidates
        if student.wide_rows == chosen.config.wide_rows:
            return self
        config = changed_config(chosen.config, wide_rows=student.wide_rows)
        sizes = {target.name: model_size(config, target) for target in targets}
        built = replace(chosen, config=config, sizes=sizes)
        return replace(self, plan=replace(self.plan, candidates=(built, *others)))

    def table(self) -> str:
        """A line for each candidate; the first is what `build` makes."""
        targets = sorted(self.plan.chosen.sizes)
        # two candidates may differ in the units of the head alone; elsewhere the column says nothing
        heads = {candidate.describe()["head"] for candidate in self.plan.candidates}
        shown = [name for name in SHAPE_COLUMNS if name != "head" or len(heads) > 1]
        asked = [] if self.chosen.estimated_ms is None else [f"ms@{self.plan.wanted.tokens}"]
        asked += [] if self.chosen.estimated_memory is None else ["memory"]
        asked += [] if self.chosen.trial_divergence is None else ["short KL"]
        header = ["", *(SHAPE_COLUMNS[name] for name in shown), "bits", "score", "est. speed", *asked, *targets]
        rows = [header, *(_candidate_row(i, c, shown, targets) for i, c in enumerate(self.plan.candidates))]
        lines = [f"budget {self.plan.budget_bytes:,} bytes; candidates, best first:", format_table(rows)]
        lines += [self.plan.note] if self.plan.note else []
        lines += [*part_lines(self.chosen.config), *front_lines(self.plan), LEGEND]
        lines += [*self.time_lines(), self.start_line(), *self.data.lines()]
        lines += [] if self.linear is None else [said_of(self.linear)]
        if self.time is not None:
            lines.append(
                f"training: {self.time.examples:,} examples seen in {self.time.steps:,} steps, about "
                f"{format_duration(self.time.seconds)} on this machine as busy as it is now"
            )
        if self.show_tensors:
            record = self.to_record()
            for target in targets:
                lines += ["", f"{target}:", format_table([["tensor", "bytes", "share"], *byte_rows(record, target)])]
        return "\n".join(lines)


def part_lines(config: StudentConfig) -> list[str]:
    """A line for each part of the student that the table of candidates has no column for."""
    lines = []
    if config.embedding_kernel > 1:
        lines.append(f"a convolution over {config.embedding_kernel} words before the first layer, in these bytes")
    if config.match_separator is not None:
        lines.append("a mark on tokens that both texts of a pair have, in these bytes")
    if config.wide_rows:
        lines.append(
            f"a wide table of {config.wide_rows} rows beside the encoder, in these bytes: fitted when training is "
            "over, and left out where it is no better on the examples held out"
        )
    return lines


def front_lines(plan: Plan) -> list[str]:
    """Scores by shipped bytes of shapes as fast as the choice or faster; nothing where no other budget buys another."""
    own = sorted({point.at_least for point in plan.front}, key=lambda speed: abs(speed - plan.chosen.estimated_speed))
    points = [point.candidate for point in plan.front if point.at_least == own[0]]
    printed = [(format_size(p.largest_bytes), f"{100 * p.estimated_loss:.2f}") for p in points]
    lower = [point for point, before in zip(printed, [("", ""), *printed], strict=False) if point[1] != before[1]]
    if len(lower) < 2:
        return []
    said = "; ".join(f"{size} {score}" for size, score in lower)
    return [f"score by shipped bytes, at {own[0]:.1f} x the teacher's speed or more: {said}"]


def _candidate_row(number: int, candidate: Candidate, shown: list[str], targets: list[str]) -> list[str]:
    figures = candidate.describe()
    counts = [figures[name] for name in shown]
    bits = f"{figures['body_bits']}/{figures['embedding_bits']}"
    estimates = [f"{candidate.estimated_loss * 100:.2f}", f"{candidate.estimated_speed:.1f} x"]
    if candidate.estimated_ms is not None:
        estimates.append(f"{candidate.estimated_ms:.2f}")
    if candidate.estimated_memory is not None:
        estimates.append(format_size(candidate.estimated_memory))
    if candidate.trial_divergence is not None:
        estimates.append(f"{candidate.trial_divergence:.3g} @{candidate.trial_examples}")
    sizes = [f"{candidate.shipped_bytes[name]:,}" for name in targets]
    return ["→" if number == 0 else "", *map(str, counts), bits, *estimates, *sizes]


@dataclass(frozen=True, eq=False)
class BuildResult:
    """A finished build: its bundles and their verdicts."""

    output: Path
    bundles: tuple[Bundle, ...]
    missing: Mapping[str, str] = field(default_factory=dict)  # target → what it lacked here
    max_latency: LatencyLimit | None = None

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """By target."""
        return {bundle.manifest.target: bundle.verdict for bundle in self.bundles}

    @property
    def latency(self) -> dict[str, MeasuredLatency]:
        """The limit that the build was asked for against what was measured, by target; empty without a limit."""
        return {} if self.max_latency is None else measured_latency(self.max_latency, self.verdicts)

    @property
    def growth(self) -> dict[str, Growth]:
        """What an app grows by, by target."""
        return {name: growth_of(load_target(name), verdict.shipped_bytes) for name, verdict in self.verdicts.items()}

    @property
    def passed(self) -> bool:
        """Whether every target was built and its verdict passed."""
        return not self.missing and all(bundle.passed for bundle in self.bundles)

    @property
    def exit_code(self) -> int:
        """3 when a target lacked something of this machine, else 1 when a check failed or did not run, else 0."""
        if self.missing:
            return MissingDependency.exit_code
        return 0 if self.passed else CheckFailed.exit_code

    def to_record(self) -> dict[str, Any]:
        """Verdicts by target, and whether each is as fast as was asked for."""
        timed = {name: {**each.model_dump(), "reached": each.reached} for name, each in self.latency.items()}
        return {
            "passed": self.passed,
            "output": str(self.output),
            "missing": dict(self.missing),
            "verdicts": {name: verdict.model_dump(mode="json") for name, verdict in self.verdicts.items()},
            "growth": {name: each.to_record() for name, each in self.growth.items()},
            **({"latency": timed} if timed else {}),
        }

    def table(self) -> str:
        """A line for each bundle."""
        header = ["target", "shipped bytes", "metric", "retention (95 %)", "agreement", "p50 ms", "verdict"]
        rows = [header, *(_verdict_row(bundle.manifest.target, bundle.verdict) for bundle in self.bundles)]
        lacking = [f"{name}: not built: {reason}" for name, reason in self.missing.items()]
        times = [each.describe(name) for name, each in self.latency.items()]
        grown = _grouped({name: each.describe() for name, each in self.growth.items()})
        rest = [*lacking, *times, *self.linear_lines(), *grown, f"bundles in {self.output / 'bundles'}"]
        return "\n".join([format_table(rows), *rest])

    def linear_lines(self) -> list[str]:
        """The linear model compared with the artifacts: one line where these are equally good, else one a figure."""
        found = self.verdicts.items()
        said = {name: compared(v.linear, v.metrics.get("artifact")) for name, v in found if v.linear is not None}
        if len(set(said.values())) <= 1:
            return list(dict.fromkeys(said.values()))
        return _grouped(said)


def _grouped(said: Mapping[str, str]) -> list[str]:
    """What is said of targets, those of which the same is said together."""
    return [f"{', '.join(n for n in said if said[n] == line)}: {line}" for line in dict.fromkeys(said.values())]


def _verdict_row(target: str, verdict: Verdict) -> list[str]:
    kept, speed, metric = verdict.retention, verdict.speed.get("artifact"), verdict.metrics.get("artifact")
    failed = [check.name for check in verdict.checks if check.status == "failed"]
    undecided = [check.name for check in verdict.checks if check.status == "undecided"]
    waiting = [check.name for check in verdict.checks if check.status == "not_run"]
    words = [f"failed: {', '.join(failed)}"] if failed else []
    words += [f"undecided: {', '.join(undecided)}"] if undecided else []
    words += [f"not run: {', '.join(waiting)}"] if waiting else []
    words = words or ["passed"]
    words += [f"measured as {verdict.measured_as}"] if verdict.measured_as else []
    return [
        target,
        f"{verdict.shipped_bytes:,}",
        "not run" if metric is None else f"{metric.value:.4f}",
        f"{kept.value:.2%} ({kept.low:.2%} to {kept.high:.2%})" if kept else "not run",
        "-" if verdict.agreement is None else f"{verdict.agreement:.2%}",
        " / ".join(f"{ms:.1f}" for ms in speed.p50_ms.values()) if speed else "not run",
        "; ".join(words),
    ]


def artifact_record(bundle: Bundle) -> dict[str, Any]:
    """A bundle's artifact in a build's manifest."""
    manifest = bundle.manifest
    return {
        "target": manifest.target,
        "bundle": f"bundles/{manifest.target}",
        "passed": bundle.passed,
        "sha256": artifact_sha256(manifest),
        "shipped_bytes": manifest.shipped_bytes,
    }
