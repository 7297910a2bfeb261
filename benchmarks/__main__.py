"""`python -m benchmarks COMMAND …`; the commands are listed below."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import cast

from edgepack.errors import EdgepackError

COMMANDS = {
    "latency": "benchmarks.latency",
    "onnx-graph": "benchmarks.onnx_graph",
    "opens": "benchmarks.opens",
    "runtimes": "benchmarks.runtimes",
    "runtime-sizes": "benchmarks.runtime_sizes",
    "executorch-profile": "benchmarks.executorch_profile",
    "targets": "benchmarks.targets",
    "training": "benchmarks.training",
    "frontier": "benchmarks.frontier",
    "other-tools": "benchmarks.other_tools",
    "plot": "benchmarks.plot",
    "methods": "benchmarks.methods",
    "ablation": "benchmarks.ablation",
    "kotlin-tokenizer": "benchmarks.kotlin_tokenizer",
    "build": "benchmarks.building",
    "encoder-teachers": "benchmarks.encoder_teachers",
    "encoders": "benchmarks.encoders",
    "kinds": "benchmarks.kinds",
    "plan-errors": "benchmarks.plan_errors",
    "speed-estimates": "benchmarks.speed_estimates",
    "plan-search": "benchmarks.plan_search",
    "static-embeddings": "benchmarks.static_embeddings",
    "tokenizers": "benchmarks.tokenizer_assets",
    "trimming": "benchmarks.trimming",
    "finetune-grid": "benchmarks.finetune_grid",
    "linear": "benchmarks.linear",
    "baselines": "benchmarks.baselines",
    "data-budget": "benchmarks.data_budget",
    "gate-statistics": "benchmarks.gate_statistics",
}


def main() -> None:
    """Run the benchmark named first, with the arguments that follow."""
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(f"usage: python -m benchmarks {'|'.join(COMMANDS)} …")
    run = cast(Callable[[Sequence[str]], None], import_module(COMMANDS[sys.argv[1]]).main)
    try:
        run(sys.argv[2:])
    except EdgepackError as e:
        print(f"error: {' '.join(str(e).split())}", file=sys.stderr)
        sys.exit(e.exit_code)


if __name__ == "__main__":
    main()
