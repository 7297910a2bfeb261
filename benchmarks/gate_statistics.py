"""How often the gate's test of retention is wrong, and how often it decides: simulated releases through its own code.

    python -m benchmarks gate-statistics [--releases 10000] [--processes 2] [--metrics accuracy entity_f1 …]
    python -m benchmarks gate-statistics --plot          # the chart again, from what is recorded

A release is a teacher and an artifact that answer n examples; how much of the teacher's metric the artifact keeps in
truth is set. `false_pass`: the share of releases that pass although the truth is at the margin or below it. `power`:
the share that passes where the truth is above it.

Accuracy: each example falls into one of four cells. Entity F1: sentences of 0 to 6 entities; on a share of the
sentences the artifact's answer is drawn anew, for each entity by itself or for the sentence as a whole. Correlations:
the data's scores and those of both models are normal, or of Student's t distribution with 6 degrees of freedom, and
the disagreement is 1 less the correlation of the models. Ranking: a query's nDCG is of a beta distribution, and the
artifact's is drawn anew on a share of the queries.
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
from edgepack.task.scoring import REGRESSION
from edgepack.task.task import Task

RESULT = RESULTS / "gate-statistics.json"
CHART = Path(__file__).resolve().parents[1] / "docs" / "images" / "gate-power.svg"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "gate.md"
NAME = "gate-statistics"  # of the page's table
TASKS = {
    "accuracy": Task("text-classification", ("no", "yes")),
    "entity_f1": Task("token-classification", ("O", "B-x", "I-x")),
    "pearson": Task("text-classification", ("score",), problem=REGRESSION),
    "spearman": Task("feature-extraction", (), vector_size=8, judged="pairs"),
    "ndcg_at_10": Task("text-classification", ("score",), pair=True, problem=REGRESSION, ranks=True),
}
NAMES = {"entity_f1": "entity F1", "pearson": "Pearson", "spearman": "Spearman", "ndcg_at_10": "nDCG@10"}
WHOLE, HEAVY = "sentences as a whole", "heavy tails"
ENTITIES = np.array([0.15, 0.35, 0.25, 0.12, 0.07, 0.04, 0.02])  # share of sentences with 0, 1, … entities
CELLS = np.array([[1, 1, 1, 1], [1, 1, 0, 1], [0, 1, 1, 1], [0, 1, 0, 1]])  # right, of one; artifact, then teacher
KINDS = (
    ("accuracy", ""),
    ("entity_f1", ""),
    ("entity_f1", WHOLE),
    ("pearson", ""),
    ("pearson", HEAVY),
    ("spearman", ""),
    ("ndcg_at_10", ""),
)
FREEDOM = 6  # of Student's t: of 4 or fewer a correlation's error has no limit
MARGINS, BELOW = (0.02, MAX_DROP, 0.1), (0.01, 0.02)
ANEW = (0.06, 0.12, 0.25)  # disagreement
LEVEL = 0.025  # of false passes, which the test keeps to
APART = (0.02, 0.1)  # 1 less the correlation of two models
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
    form: str = ""  # `WHOLE`: a sentence's entities are right or wrong together; `HEAVY`: scores far out are common

    def draw(self, generator: np.random.Generator) -> PairedRows | None:
        """The statistics of both models on n examples; None: no two models are like this."""
        if self.metric == "accuracy":
            return self._draw_text(generator)
        if self.metric == "entity_f1":
            return self._draw_tags(generator)
        return self._draw_queries(generator) if self.metric == "ndcg_at_10" else self._draw_scores(generator)

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

    def _draw_scores(self, generator: np.random.Generator) -> PairedRows | None:
        right = np.array([self.level * self.retention, self.level])  # artifact, teacher
        if self.metric == "spearman":  # of normal scores (Pearson 1907)
            right = 2 * np.sin(np.pi / 6 * right)
        between = 1 - self.disagreement
        covariance = np.array([[1, between, right[0]], [between, 1, right[1]], [*right, 1]])
        if np.linalg.eigvalsh(covariance)[0] < 1e-9:
            return None
        scores = generator.normal(size=(self.n, 3)) @ np.linalg.cholesky(covariance).T
        if self.form == HEAVY:  # all three of an example are scaled together, which leaves correlations as they are
            scores /= np.sqrt(generator.chisquare(FREEDOM, (self.n, 1)) / FREEDOM)
        models = np.tanh(scores[:, :2]) if self.metric == "spearman" else scores[:, :2]  # cosines; ranks stay
        return paired_rows(*(np.stack([model, scores[:, 2]], axis=1) for model in models.T))

    def _draw_queries(self, generator: np.random.Generator) -> PairedRows | None:
        anew = (self.level * self.retention - (1 - self.disagreement) * self.level) / self.disagreement
        if not 0 < anew < 1:
            return None
        teacher, drawn = (generator.beta(2 * mean, 2 * (1 - mean), self.n) for mean in (self.level, anew))
        artifact = np.where(generator.random(self.n) < self.disagreement, drawn, teacher)
        return paired_rows(*(np.stack([figures, np.ones(self.n)], axis=1) for figures in (artifact, teacher)))

    def _answers(self, gold: np.ndarray, right: float, generator: np.random.Generator) -> np.ndarray:
        """Counts of a model that has a share of the entities right and half of the others wrong instead of missing."""
        hits = gold * (generator.random(len(gold)) < right) if self.form == WHOLE else generator.binomial(gold, right)
        return np.stack([hits, hits + generator.binomial(gold - hits, 0.5), gold], axis=1)


def _share_right(f1: float) -> float:
    """The share of entities that a model of `_answers` has right: F1 = 2s / (s + (1 − s) / 2 + 1)."""
    return 1.5 * f1 / (2 - 0.5 * f1)


def worlds() -> Iterator[World]:
    """At the margin, below it, and above it, where the test ought to pass."""
    for metric, form in KINDS:
        correlates = TASKS[metric].scoring.correlates
        levels, apart = ((0.6, 0.85), APART) if correlates else ((0.75, 0.92, 0.99), ANEW)
        for margin, n, level, disagreement in product(MARGINS, (50, 100, 300, 1_000), levels, apart):
            if metric != "entity_f1" or level < 0.99:
                yield World(metric, n, level, disagreement, 1 - margin, margin, form)
        for below in BELOW:
            level, disagreement = (0.85, 0.05) if correlates else (0.92, 0.12)
            yield World(metric, 1_000, level, disagreement, 1 - MAX_DROP - below, MAX_DROP, form)
    for n, retention in product(SIZES, (0.97, 0.98, 0.99, 1.0)):
        yield World("accuracy", n, 0.92, 0.10, retention)
        yield World("entity_f1", n, 0.92, 0.15, retention)
    for form, n, retention in product(("", HEAVY), (100, 300, 1_000), (0.98, 1.0)):
        yield World("pearson", n, 0.85, 0.05, retention, form=form)


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


def run(releases: int, processes: int, metrics: Sequence[str] = tuple(TASKS)) -> list[dict[str, object]]:
    """All worlds of these metrics that there are, each with its share."""
    with ProcessPoolExecutor(processes) as pool:
        every = [world for world in worlds() if world.metric in metrics]
        shares = pool.map(share_passed, every, [releases] * len(every), range(len(every)), chunksize=4)
        return [
            {**asdict(w), "releases": releases, "passed": share}
            for w, share in zip(every, shares, strict=True)
            if share is not None
        ]


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
    parser.add_argument("--metrics", nargs="+", choices=TASKS, default=list(TASKS), help="others stay as recorded")
    parser.add_argument("--plot", action="store_true", help="only draw what is recorded")
    options = parser.parse_args(arguments)
    if not options.plot:
        worlds = kept(options.metrics) + run(options.releases, options.processes, options.metrics)
        document = {"confidence": CONFIDENCE, "worlds": worlds}
        RESULT.write_text(compact(document), encoding="utf-8")
    recorded = json.loads(RESULT.read_text(encoding="utf-8"))
    plot(recorded["worlds"], CHART)
    write_table(PAGE, NAME, section(recorded))
    print(table(recorded))
    print(json.dumps({"highest": highest(recorded["worlds"])}))


def kept(metrics: Sequence[str]) -> list[dict[str, object]]:
    """What is recorded of the other metrics."""
    if set(metrics) == set(TASKS):
        return []
    recorded = json.loads(RESULT.read_text(encoding="utf-8"))
    return [row for row in recorded["worlds"] if row["metric"] not in metrics]


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
    lines = [
        ["metric", "margin", "worlds", "releases", "pass at the margin, mean", "highest", "1 % below", "2 % below"]
    ]
    for (metric, form), margin in product(KINDS, MARGINS):
        mine = [r for r in rows if r["metric"] == metric and r["form"] == form and r["margin"] == margin]
        at = [r["passed"] for r in mine if abs(r["retention"] + margin - 1) < 1e-9]
        below = [[r["passed"] for r in mine if abs(r["retention"] + margin + less - 1) < 1e-9] for less in BELOW]
        name = f"{NAMES.get(metric, metric)}{f', {form}' if form else ''}"
        cells = [f"{100 * found[0]:.2f} %" if found else "" for found in below]
        counts = [str(len(at)), f"{mine[0]['releases']:,}"]
        shares = [f"{100 * np.mean(at):.2f} %", f"{100 * max(at):.2f} %"]
        lines.append([name, f"{margin:.0%}", *counts, *shares, *cells])
    return markdown_table(lines)


def section(recorded: dict[str, object]) -> str:
    """What the page says of a run."""
    rows = recorded["worlds"]
    assert isinstance(rows, list)
    counts = sorted({row["releases"] for row in rows}, reverse=True)
    errors = [f"{100 * math.sqrt(LEVEL * (1 - LEVEL) / count):.2f} % of {count:,}" for count in counts]
    said = (
        "Of so many releases in each world, these shares pass although they should not. The standard error of one\n"
        f"share at the level of 2.5 % is {' and '.join(errors)}:"
    )
    return f"{said}\n\n{table(recorded)}"
