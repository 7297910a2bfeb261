"""How right times from a speed profile are for shapes that nobody has looked at: drawn at random, timed in one run.

    python -m benchmarks speed-estimates --target linux-onnx --shapes 24 --seed 0

The models of `edgepack profile` and the drawn ones are timed in the same rounds; prices are fitted to the first alone.
Prints each drawn shape with its largest error, then one JSON line with all times. Five minutes on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from statistics import median

import numpy as np

from benchmarks.tables import markdown_table
from edgepack.console import Console
from edgepack.evidence.profile_machine import Probe, probes_of, processor_name, runtime_version, time_models
from edgepack.plan.speed_fit import Timed, fit_prices, time_of
from edgepack.target import Target, load_target

LAYERS = (1, 2, 3, 4, 6, 8, 12)
HIDDEN = (128, 192, 256, 312, 384, 512, 768)
HEADER = ("layers", "hidden", "heads", "FFN", "embedding", "tags", "bits", "ms at 32 tokens", "largest error")
MOST_WEIGHTS = 22_000_000  # of a body: a student's, not a teacher's


def draw_probes(count: int, seed: int, target: Target) -> list[tuple[Probe, int]]:
    """Shapes that a plan could choose, with a bit width each, none of them one of the profile's own."""
    random, own = np.random.default_rng(seed), probes_of(target)
    probes: list[tuple[Probe, int]] = []
    while len(probes) < count:
        layers, hidden = int(random.choice(LAYERS)), int(random.choice(HIDDEN))
        probe = Probe(
            layers,
            hidden,
            heads=int(random.integers(1, 13)),
            ffn=32 * int(random.integers(2, hidden // 8 + 1)),
            embedding=16 * int(random.integers(2, 9)),
            vocabulary=int(random.choice((2_000, 8_000, 16_000))),
            tags=bool(random.random() < 0.3),
            head_size=int(random.choice((32, 64))),
        )
        weights = layers * hidden * (4 * probe.heads * probe.head_size + 2 * probe.ffn)
        drawn = probe, int(random.choice(target.body_bits))
        if weights <= MOST_WEIGHTS and drawn not in (*own, *probes):
            probes.append(drawn)
    return probes


def errors_of(profile: Sequence[Timed], others: Sequence[Timed]) -> list[list[float]]:
    """Relative errors of each other model's times, signed: above 0 is estimated too slow."""
    prices = fit_prices(profile)
    return [[time_of(model, prices, tokens) / us - 1 for tokens, us in model.p50_us.items()] for model in others]


def main(arguments: Sequence[str]) -> None:
    """Time, estimate, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks speed-estimates")
    parser.add_argument("--target", default="linux-onnx")
    parser.add_argument("--shapes", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    target = load_target(options.target)
    own, drawn = probes_of(target), draw_probes(options.shapes, options.seed, target)
    models = time_models(target, [*own, *drawn], Console())
    busy = os.getloadavg()[0]
    timed = [model.timed() for model in models]
    errors = errors_of(timed[: len(own)], timed[len(own) :])
    rows: list[tuple[str, ...]] = [HEADER]
    for (probe, bits), model, signed in zip(drawn, models[len(own) :], errors, strict=True):
        shape = probe.layers, probe.hidden, probe.heads, probe.ffn, probe.embedding, "yes" if probe.tags else "no", bits
        rows.append((*map(str, shape), f"{model.p50_ms[32]:.2f}", f"{max(signed, key=abs):+.1%}"))
    print(markdown_table(rows) + "\n")
    sizes = [abs(error) for signed in errors for error in signed]
    record = {
        "device": processor_name(),
        "runtime": target.runtime,
        "version": runtime_version(target),
        "seed": options.seed,
        "load_average": round(busy, 2),
        "times": len(sizes),
        "median_error": round(median(sizes), 4),
        "within_tenth": sum(size <= 0.1 for size in sizes),
        "largest_error": round(max(sizes), 4),
        "profile": [model.model_dump(mode="json") for model in models[: len(own)]],
        "drawn": [model.model_dump(mode="json") for model in models[len(own) :]],
    }
    print(json.dumps(record))
