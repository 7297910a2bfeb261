"""Inferences, timed. Imports no torch: a process that measures memory has the runtime alone.

Models are timed in one process, in alternating runs, so that a change in the machine's load falls on all alike. A run
is a block of inferences of one model, the first few of which do not count: where single inferences alternate, every
model finds its weights pushed out of the CPU's caches by the others', and a small model, which would fit, loses more by
it than a large one (docs/experiments.md has figures of both).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from edgepack.evidence.measure import THREAD_VARIABLES, sample_inputs, since_ms
from edgepack.runtime import Session

Key = TypeVar("Key")
BLOCK, WARM_UPS = 20, 5  # inferences of a run that count, and those before them


def time_once(session: Session, tokens: int) -> float:
    """Milliseconds of one inference, batch 1."""
    inputs = sample_inputs(tokens)
    started = time.perf_counter()
    session.run(inputs)
    return since_ms(started)


def in_fresh_process(benchmark: str, *arguments: str) -> dict[str, float]:
    """What `python -m benchmarks BENCHMARK ARGUMENTS` prints last, a JSON object, in a process of one thread."""
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1"), "ORT_DISABLE_TELEMETRY": "1"}
    command = [sys.executable, "-m", "benchmarks", benchmark, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def median_times(models: Mapping[Key, tuple[Session, int]], runs: int) -> dict[Key, float]:
    """Median milliseconds of at least `runs` inferences of each session at its tokens, in alternating blocks."""
    times: dict[Key, list[float]] = {key: [] for key in models}
    for _ in range(-(-runs // BLOCK)):
        for key, (session, tokens) in models.items():
            block = [time_once(session, tokens) for _ in range(WARM_UPS + BLOCK)]
            times[key] += block[WARM_UPS:]
    return {key: float(np.median(found)) for key, found in times.items()}
