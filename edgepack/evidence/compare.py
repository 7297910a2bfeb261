"""Two releases of one model: what has changed, and whether anything is worse by more than a policy allows.

Sizes, files and times are read from the bundles; with evaluation data both artifacts answer them here, and the metrics
are compared by the paired test that retention is judged by (`noninferiority.py`): the ratio new / old, its
interval, and the margin `max_drop`. Times are those that each validation recorded, perhaps on two machines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from edgepack.bundle.analysis import NonInferiority
from edgepack.bundle.manifest import BundleManifest, load_manifest, read_model
from edgepack.bundle.verdict import VERDICT_NAME, Check, Verdict, all_passed, in_full, limit_check
from edgepack.console import Console, format_table
from edgepack.evidence.bundle_files import files_check, refuse_changed
from edgepack.evidence.metric_check import Answers, Given, given_data, refuse_other_task
from edgepack.evidence.noninferiority import judge_retention, retention_check
from edgepack.evidence.opened import OpenBundle
from edgepack.evidence.paired_ratio import PairedRows, paired_rows
from edgepack.evidence.policy import Policy, read_policy
from edgepack.target import load_target
from edgepack.task.checks import check_evaluation
from edgepack.task.examples import Columns
from edgepack.task.task import Task


class Strict(BaseModel):
    """A part of `edgepack compare --json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Change(Strict):
    """A figure of both releases; None where a bundle does not hold it."""

    old: float | None
    new: float | None

    @property
    def growth(self) -> float | None:
        """How much more the new release takes, as a share of the old one's."""
        return self.new / self.old - 1 if self.old and self.new is not None else None


class LabelFlips(Strict):
    """Examples of one true label (tags: words) that only one release has right, and how many there are."""

    label: str
    n: int
    lost: int
    gained: int


class Comparison(Strict):
    """What `edgepack compare` answers; `metric` is the ratio new / old, None without evaluation data."""

    old: str
    new: str
    passed: bool
    checks: list[Check]
    costs: dict[str, Change]  # shipped_bytes, load_ms, peak_bytes, resident_bytes, p50_ms at each token count of both
    files: dict[str, str]  # path → added, removed, changed
    metrics: Change
    metric: NonInferiority | None
    flips: list[LabelFlips]

    @property
    def exit_code(self) -> int:
        """0 or 1."""
        return 0 if self.passed else 1

    def to_record(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"schema": 1, **self.model_dump(mode="json")}

    def table(self) -> str:
        """Lines for a person."""
        rows = [["", "old", "new", "change"]]
        named: Mapping[str, Change] = {**self.costs, "metric": self.metrics}
        for name, change in named.items():
            cells = ["-" if value is None else in_full(value) for value in (change.old, change.new)]
            rows.append([name, *cells, "-" if change.growth is None else f"{change.growth:+.1%}"])
        lines = [format_table(rows), ""]
        if self.flips:
            flips = [[f.label, str(f.n), str(f.lost), str(f.gained)] for f in self.flips]
            lines += [format_table([["label", "n", "only old is right", "only new is right"], *flips]), ""]
        lines += [f"{kind}: {path}" for path, kind in self.files.items()]
        lines += [f"{c.name:<10} {c.status.replace('_', ' '):<9} {c.reason}" for c in self.checks]
        return "\n".join([*lines, "PASSED" if self.passed else "FAILED"])


def compare(
    old: Path,
    new: Path,
    *,
    evaluation: str | None = None,
    columns: Columns | None = None,
    policy: Path | None = None,
    console: Console | None = None,
) -> Comparison:
    """Compare two bundles of one task; with `evaluation` their answers too. Both must be as their manifests say."""
    for folder in (old, new):
        refuse_changed(folder, "compared")
    rules = read_policy(policy) if policy else Policy()
    given = given_data(evaluation, columns or Columns(), None, console)
    return compare_releases(old, new, given, rules)


def compare_releases(old: Path, new: Path, given: Given | None, policy: Policy) -> Comparison:
    """The comparison, under a policy's `max_drop`, `confidence` and `max_growth`."""
    manifests = [load_manifest(folder) for folder in (old, new)]
    refuse_other_task(*manifests)
    verdicts = [read_model(folder / VERDICT_NAME, Verdict) for folder in (old, new)]
    costs = costs_of(manifests, verdicts)
    checks, found, flips = growth_checks(costs, policy), None, list[LabelFlips]()
    metrics = recorded_metrics(manifests)
    if given is not None:
        _, data = given.read(manifests[1])
        before, after = (answers_on(*each, given) for each in zip((old, new), manifests, strict=True))
        check_evaluation(data, after.task)
        rows = paired_rows(after.statistics, before.statistics)
        found = judge_retention(rows, after.task, *policy.retention_test())
        metrics = Change(old=before.metric, new=after.metric)
        flips = flips_by_label(before, after)
        checks.insert(0, against_baseline(found, rows, after.task))
    return Comparison(
        old=str(old),
        new=str(new),
        passed=all_passed(checks),
        checks=checks,
        costs=costs,
        files=changed_files(*manifests),
        metrics=metrics,
        metric=found,
        flips=flips,
    )


def answers_on(folder: Path, manifest: BundleManifest, given: Given) -> Answers:
    """A bundle's answers on the given data, read with its own order of labels."""
    return given.answers_of(OpenBundle(folder, manifest, load_target(manifest.target)))


def against_baseline(found: NonInferiority, rows: PairedRows, task: Task) -> Check:
    """The paired test of new against old as a check; an old release that has nothing right cannot be fallen behind."""
    if not task.metric(rows.teacher, rows.counts) > 0:
        reason = f"the baseline's {task.metric_name} is 0 on {found.n} examples"
        return Check(name="metric", status="passed", value=found.value, limit=1 - found.margin, reason=reason)
    return retention_check(found, task.metric_name, "metric", "the baseline's")


def recorded_metrics(manifests: Sequence[BundleManifest]) -> Change:
    """The artifacts' recorded metrics where both are of the same data; else neither says anything of the other."""
    data = [m.evaluation.sha256 if m.evaluation else None for m in manifests]
    values = [m.metrics["artifact"].value if "artifact" in m.metrics else None for m in manifests]
    if data[0] is None or data[0] != data[1]:
        return Change(old=None, new=None)
    return Change(old=values[0], new=values[1])


def costs_of(manifests: Sequence[BundleManifest], verdicts: Sequence[Verdict]) -> dict[str, Change]:
    """Bytes, load time, memory and latency of both, as recorded."""
    speeds = [verdict.speed.get("artifact") for verdict in verdicts]
    costs = {"shipped_bytes": Change(old=manifests[0].shipped_bytes, new=manifests[1].shipped_bytes)}
    if speeds[0] is None or speeds[1] is None:
        return costs
    old, new = speeds[0], speeds[1]
    costs["load_ms"] = Change(old=old.load_ms, new=new.load_ms)
    costs["peak_bytes"] = Change(old=old.peak_bytes, new=new.peak_bytes)
    if old.resident_bytes is not None and new.resident_bytes is not None:
        costs["resident_bytes"] = Change(old=old.resident_bytes, new=new.resident_bytes)
    for count in sorted(set(old.p50_ms) & set(new.p50_ms)):
        costs[f"p50_ms at {count} tokens"] = Change(old=old.p50_ms[count], new=new.p50_ms[count])
    return costs


def growth_checks(costs: Mapping[str, Change], policy: Policy) -> list[Check]:
    """Whether any cost has grown by more than the policy's `max_growth`."""
    if policy.max_growth is None:
        return []
    return [
        limit_check("growth", change.growth, policy.max_growth, True, f"growth of {name}")
        for name, change in costs.items()
        if change.growth is not None
    ]


def changed_files(old: BundleManifest, new: BundleManifest) -> dict[str, str]:
    """Files that one bundle alone has, or that differ."""
    before, after = ({f.path: f.sha256 for f in manifest.files} for manifest in (old, new))
    differing = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
    return {p: "added" if p not in before else "removed" if p not in after else "changed" for p in differing}


def flips_by_label(old: Answers, new: Answers) -> list[LabelFlips]:
    """Examples, or words of a tagging task, that one release alone has right, by their true label.

    None of scores and vectors.
    """
    if new.task.is_score or new.task.embeds:
        return []
    if new.task.is_multi_label:
        return flips_by_set_label(old, new)
    truth = {}
    for name, answers in (("old", old), ("new", new)):
        labels = [answers.task.labels[i] for i in answers.encoded.labels[answers.scored]]
        right = answers.task.decide(answers.logits)[answers.scored] == answers.encoded.labels[answers.scored]
        truth[name] = (labels, right)
    (labels, before), (other, after) = truth["old"], truth["new"]
    if labels != other:  # truncated differently: words cannot be matched one by one
        return []
    found = []
    for label in sorted(set(labels)):
        here = [i for i, each in enumerate(labels) if each == label]
        lost = sum(bool(before[i] and not after[i]) for i in here)
        gained = sum(bool(after[i] and not before[i]) for i in here)
        found.append(LabelFlips(label=label, n=len(here), lost=lost, gained=gained))
    return found


def flips_by_set_label(old: Answers, new: Answers) -> list[LabelFlips]:
    """Of each label that occurs, the texts of it on which one release alone finds it."""
    found = []
    for label in sorted(new.task.labels):
        columns = [answers.task.labels.index(label) for answers in (old, new)]
        here = new.encoded.labels[:, columns[1]] > 0
        before, after = (
            answers.task.decide(answers.logits)[here, column] > 0
            for answers, column in zip((old, new), columns, strict=True)
        )
        if here.any():
            lost, gained = int((before & ~after).sum()), int((after & ~before).sum())
            found.append(LabelFlips(label=label, n=int(here.sum()), lost=lost, gained=gained))
    return found


def baseline_check(folder: Path, baseline: Path | None, given: Given | None, policy: Policy) -> Check:
    """`edgepack gate --baseline`: the comparison as one check, its worst answer first.

    Without a baseline there is nothing that costs could have grown from, so a limit of growth is not run.

    A baseline whose files are not as it records them is no earlier release.
    """
    if baseline is None:
        reason = "no earlier bundle was given, which max_growth is a limit for; pass --baseline"
        return Check(name="baseline", status="not_run", reason=reason)
    manifest = load_manifest(baseline)
    files = files_check(baseline, manifest, load_target(manifest.target))
    if files.status != "passed":
        return files.model_copy(update={"name": "baseline", "reason": f"the baseline is damaged: {files.reason}"})
    found = compare_releases(baseline, folder, given, policy)
    bad = [check for check in found.checks if check.status != "passed"]
    worst = next((check for check in found.checks if check.status == "failed"), bad[0] if bad else None)
    if worst is not None:
        return worst.model_copy(update={"name": "baseline"})
    if given is None:
        return Check(name="baseline", status="not_run", reason="no data to compare the two on; pass --eval")
    metric = found.checks[0]
    grown = found.costs["shipped_bytes"].growth or 0
    reason = f"{metric.reason}; shipped bytes {grown:+.1%}, {len(found.files)} files differ"
    return metric.model_copy(update={"name": "baseline", "reason": reason})
