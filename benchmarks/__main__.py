"""`python -m benchmarks latency TEACHER BUNDLE…`, `python -m benchmarks training TEACHER TRAIN`."""

from __future__ import annotations

import sys

from benchmarks import latency, training

COMMANDS = {"latency": latency.main, "training": training.main}


def main() -> None:
    """Run the benchmark named first, with the arguments that follow."""
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(f"usage: python -m benchmarks {'|'.join(COMMANDS)} …")
    COMMANDS[sys.argv[1]](sys.argv[2:])


if __name__ == "__main__":
    main()
