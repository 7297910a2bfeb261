"""How often the gate's test of retention is wrong, and how often it decides: simulated releases through its own code.

    python -m benchmarks gate-statistics [--releases 10000] [--processes 2]
    python -m benchmarks gate-statistics --plot          # the chart again, from what is recorded

A release is a teacher and an artifact that answer n examples; how much of the teacher's metric the artifact keeps in
truth is set. `false_pass`: the share of releases that pass although the truth is at the margin or below it. `power`:
the share that passes where the truth is above it.

Accuracy: each example falls into one of four cells. Entity F1: sentences of 0 to 6 entities; on a share of the
sentences the artifact's answer is drawn anew, for each entity by itself or for the sentence as a whole.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.store import RESULTS
from benchmarks.tables import markdown_table, write_table
from edgepack.bundle.verdict import CONFIDENCE, MAX_DROP
from edgepack.evidence.noninferiority import decide
from edgepack.evidence.paired_ratio import PairedRows, paired_rows, paired_values
from edgepack.task.task import Task

RESULT = RESULTS / "gate-statistics.json"
CHART = Path(__file__).resolve().parents[1] / "docs" / "images" / "gate-power.svg"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "gate.md"
NAME = "gate-statistics"  # of the page's table
TASKS = {
    "accuracy": Task("text-classification", ("no", "yes")),
    "entity_f1": Task("token-classification", ("O", "B-x", "I-x")),
}
ENTITIES = np.array([0.15, 0.35, 0.25, 0.12, 0.07, 0.04, 0.02])  # share of sentences with 0, 1, … entities
CELLS = np.array([[1, 1, 1, 1], [1, 1, 0, 1], [0, 1, 1, 1], [0, 1, 0, 1]])  # right, of one; artifact, then teacher
KINDS = (("accuracy", False), ("entity_f1", False), ("entity_f1", True))
MARGINS, BELOW = (0.02, MAX_DROP, 0.1), (0.01, 0.02)
ANEW = (0.06, 0.12, 0.25)  # disagreement
SIZES = (100, 200, 300, 500, 872, 1_000, 2_000, 5_000)


@dataclass(frozen=True)
class World:
    """What is true: the teacher's metric, the share of examples with another answer, and what the artifact keeps."""

    metric: str
    n: int
    level: float
    disagreement: float
    retention: float
    margin: float = MAX_DROP
    together: bool = False  # a sentence's entities are right or wrong together

    def draw(self, generator: np.random.Generator) -> PairedRows | None:
        """The statistics of both models on n examples; None: no two models are like this."""
        return self._draw_text(generator) if self.metric == "accuracy" else self._draw_tags(generator)

    def _draw_text(self, generator: np.random.Generator) -> PairedRows | None:
        loss = (1 - self.retention) * self.level
        cells = [self.level - (self.disagreement + loss) / 2, (self.disagreement - loss) / 2]
        cells += [(self.disagreement + loss) / 2, 1 - self.level - (self.disagreement - loss) / 2]
        if min(cells) < -1e-9:
            return None
        shares = np.clip(cells, 0, None)
        counts = generator.multinomial(self.n, shares / shares.sum())
        there = counts > 0
        return PairedRows(CELLS[there, :2], CELLS[there, 2:], counts[there])

    def _draw_tags(self, generator: np.random.Generator) -> PairedRows | None:
        goal, before = (_share_right(metric) for metric in (self.level * self.retention, self.level))
        anew = (goal - (1 - self.disagreement) * before) / self.disagreement
        if not 0 <= anew <= 1:
            return None
        gold = generator.choice(len(ENTITIES), size=self.n, p=ENTITIES)
        teacher = self._answers(gold, before, generator)
        drawn = self._answers(gold, anew, generator)
        changed = generator.random(self.n) < self.disagreement
        return paired_rows(np.where(changed[:, None], drawn, teacher), teacher)

    def _answers(self, gold: np.ndarray, right: float, generator: np.random.Generator) -> np.ndarray:
        """Counts of a model that has a share of the entities right and half of the others wrong instead of missing."""
        hits = gold * (generator.random(len(gold)) < right) if self.together else generator.binomial(gold, right)
        return np.stack([hits, hits + generator.binomial(gold - hits, 0.5), gold], axis=1)


def _share_right(f1: float) -> float:
    """The share of entities that a model of `_answers` has right: F1 = 2s / (s + (1 − s) / 2 + 1)."""
    return 1.5 * f1 / (2 - 0.5 * f1)


def worlds() -> Iterator[World]:
    """At the margin, below it, and above it, where the test ought to pass."""
    for metric, clustered in KINDS:
        for margin, n, level, disagreement in product(MARGINS, (50, 100, 300, 1_000), (0.75, 0.92, 0.99), ANEW):
            if metric == "accuracy" or level < 0.99:
                yield World(metric, n, level, disagreement, 1 - margin, margin, clustered)
        for below in BELOW:
            yield World(metric, 1_000, 0.92, 0.12, 1 - MAX_DROP - below, MAX_DROP, clustered)
    for n, retention in product(SIZES, (0.97, 0.98, 0.99, 1.0)):
        yield World("accuracy", n, 0.92, 0.10, retention)
        yield World("entity_f1", n, 0.92, 0.15, retention)


def share_passed(world: World, releases: int, seed: int = 0) -> float | None:
    """The share of simulated releases that pass; None where there is no such world."""
    generator, task, passed = np.random.default_rng(seed), TASKS[world.metric], 0
    known: dict[bytes, bool] = {}  # few examples have few outcomes
    for _ in range(releases):
        rows = world.draw(generator)
        if rows is None:
            return None
        key = b"".join(np.ascontiguousarray(part).tobytes() for part in (rows.artifact, rows.teacher, rows.counts))
        if key not in known:
            any_right = task.metric(rows.teacher, rows.counts) > 0
            known[key] = bool(any_right) and passes(rows, world)
        passed += known[key]
    return passed / releases


def passes(rows: PairedRows, world: World) -> bool:
    """The gate's decision."""
    return decide(paired_values(rows, TASKS[world.metric]), 1 - world.margin, CONFIDENCE) == "passed"


def run(releases: int, processes: int) -> list[dict[str, object]]:
    """All worlds that there are, each with its share."""
    with ProcessPoolExecutor(processes) as pool:
        every = list(worlds())
        shares = pool.map(share_passed, every, [releases] * len(every), range(len(every)), chunksize=4)
        return [{**asdict(w), "passed": share} for w, share in zip(every, shares, strict=True) if share is not None]


def is_false(row: dict[str, object]) -> bool:
    """Whether a pass is wrong in this world."""
    return float(str(row["retention"])) <= 1 - float(str(row["margin"])) + 1e-12


def plot(rows: Sequence[dict[str, object]], path: Path) -> None:
    """Power against the number of examples, one line for each true retention."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "edgepack"
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    for axis, (metric, title) in zip(axes, (("accuracy", "accuracy"), ("entity_f1", "entity F1")), strict=True):
        chosen = [row for row in rows if row["metric"] == metric and row["n"] in SIZES and not is_false(row)]
        for retention in sorted({float(str(row["retention"])) for row in chosen}, reverse=True):
            line = sorted((int(str(r["n"])), float(str(r["passed"]))) for r in chosen if r["retention"] == retention)
            axis.plot(*zip(*line, strict=True), marker="o", markersize=3, label=f"keeps {retention:.0%}")
        axis.axhline(0.8, color="0.6", linewidth=0.8, linestyle=":")
        axis.set(xscale="log", xlabel="examples", title=f"{title}, margin {MAX_DROP:.0%}")
        axis.set_xticks([100, 300, 1000, 3000], ["100", "300", "1,000", "3,000"])
    axes[0].set_ylabel("share of releases that pass")
    axes[0].legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


def main(arguments: Sequence[str]) -> None:
    """Simulate, record, plot, and print the worst false-pass rates."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks gate-statistics", description=main.__doc__)
    parser.add_argument("--releases", type=int, default=10_000, help="simulated for each world")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--plot", action="store_true", help="only draw what is recorded")
    options = parser.parse_args(arguments)
    if not options.plot:
        worlds = run(options.releases, options.processes)
        document = {"releases": options.releases, "confidence": CONFIDENCE, "worlds": worlds}
        RESULT.write_text(compact(document), encoding="utf-8")
    recorded = json.loads(RESULT.read_text(encoding="utf-8"))
    plot(recorded["worlds"], CHART)
    write_table(PAGE, NAME, section(recorded))
    print(table(recorded))
    print(json.dumps({"releases": recorded["releases"], "highest": highest(recorded["worlds"])}))


def compact(document: dict[str, object]) -> str:
    """JSON with a line for each world."""
    worlds = document["worlds"]
    assert isinstance(worlds, list)
    head = json.dumps({**document, "worlds": 0})[:-2]
    return head + "[\n" + ",\n".join(json.dumps(row) for row in worlds) + "\n]}\n"


def highest(rows: Sequence[dict[str, object]]) -> float:
    """The highest false-pass rate of all worlds."""
    return max(float(str(row["passed"])) for row in rows if is_false(row))


def table(recorded: dict[str, object]) -> str:
    """False-pass rates for the page: at the margin over all worlds, and below it."""
    rows = recorded["worlds"]
    assert isinstance(rows, list)
    lines = [["metric", "margin", "worlds", "pass at the margin, mean", "highest", "1 % below", "2 % below"]]
    for (metric, clustered), margin in product(KINDS, MARGINS):
        mine = [r for r in rows if r["metric"] == metric and r["together"] == clustered and r["margin"] == margin]
        at = [r["passed"] for r in mine if abs(r["retention"] + margin - 1) < 1e-9]
        below = [[r["passed"] for r in mine if abs(r["retention"] + margin + less - 1) < 1e-9] for less in BELOW]
        name = f"{metric.replace('entity_f1', 'entity F1')}{', sentences as a whole' if clustered else ''}"
        cells = [f"{100 * found[0]:.2f} %" if found else "" for found in below]
        lines.append(
            [name, f"{margin:.0%}", str(len(at)), f"{100 * np.mean(at):.2f} %", f"{100 * max(at):.2f} %", *cells]
        )
    return markdown_table(lines)


def section(recorded: dict[str, object]) -> str:
    """What the page says of a run."""
    releases = int(str(recorded["releases"]))
    error = 100 * math.sqrt(0.025 * 0.975 / releases)
    said = (
        f"Of {releases:,} releases in each world, these shares pass although they should not. The standard error of\n"
        f"one share at the level of 2.5 % is {error:.2f} %:"
    )
    return f"{said}\n\n{table(recorded)}"
