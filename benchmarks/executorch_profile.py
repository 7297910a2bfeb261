"""Where an ExecuTorch program's time goes, by the runtime's own event trace.

    python -m benchmarks executorch-profile OUT/bundles/android-executorch/model.pte [--tokens 32]

One thread, batch 1. Kernels that the program calls itself have their own names. What XNNPACK computes has
its operators' names, in whole microseconds each, as XNNPACK reports them; "XNNPACK, between its operators" is the rest
of the calls to it.
"""

from __future__ import annotations

import argparse
import json
import re
import warnings
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.tables import markdown_table
from edgepack.evidence.measure import sample_inputs
from edgepack.runtime.executorch import load

WHOLE, CALL, KERNEL = "Method::execute", "DELEGATE_CALL", "native_call_"
BETWEEN, REST = "XNNPACK, between its operators", "the interpreter"
RUNS = 200


def trace(path: Path, tokens: int, runs: int) -> list[tuple[str, float]]:
    """Name and median milliseconds of every event of one execution."""
    session = load(path, 1)  # or says what is missing; registers the kernels and sets the threads
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from executorch.devtools import Inspector
        from executorch.runtime import Runtime

        program = Runtime.get().load_program(path, enable_etdump=True)
        method = program.load_method("forward")
        sample = sample_inputs(tokens)
        inputs = [torch.from_numpy(sample[name]) for name in session.input_names]
        for _ in range(runs):
            method.execute(inputs)
        with TemporaryDirectory() as folder:
            dump = str(Path(folder) / "trace.etdp")
            program.write_etdump_result_to_file(dump, str(Path(folder) / "values.bin"))
            blocks = Inspector(etdump_path=dump).event_blocks
    events = [event for block in blocks for event in block.events if event.perf_data is not None]
    return [(event.name, float(event.perf_data.p50)) for event in events if len(event.perf_data.raw) == runs]


def by_kind(events: Sequence[tuple[str, float]]) -> dict[str, tuple[int, float]]:
    """How many events of each kind there are in an execution and their milliseconds together, most first.

    The kinds add up to the whole execution.
    """
    totals: dict[str, float] = defaultdict(float)
    counts: dict[str, int] = defaultdict(int)
    for name, milliseconds in events:
        kind = re.sub(r" #\d+$", "", name)
        totals[kind] += milliseconds
        counts[kind] += 1
    whole, calls = totals.pop(WHOLE, 0.0), totals.pop(CALL, 0.0)
    totals.pop("OPERATOR_CALL", None)  # holds the kernel, which is there by its name
    kernels = sum(value for kind, value in totals.items() if kind.startswith(KERNEL))
    totals[BETWEEN] = calls - (sum(totals.values()) - kernels)
    totals[REST] = whole - calls - kernels
    counts[BETWEEN], counts[REST] = counts[CALL], 1
    return {kind: (counts[kind], value) for kind, value in sorted(totals.items(), key=lambda item: -item[1])}


def main(arguments: Sequence[str]) -> None:
    """Print a table and one JSON line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks executorch-profile")
    parser.add_argument("program", type=Path)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args(arguments)
    found = by_kind(trace(options.program, options.tokens, options.runs))
    whole = sum(milliseconds for _, milliseconds in found.values())
    rows: list[list[Any]] = [["what", "times", "µs together", "share"]]
    for kind, (count, milliseconds) in found.items():
        shown = kind.removeprefix(KERNEL)
        rows.append([shown, str(count), f"{milliseconds * 1e3:.0f}", f"{milliseconds / whole:.1%}"])
    print(markdown_table(rows))
    print(json.dumps({"tokens": options.tokens, "whole_ms": whole, "kinds": found}))
