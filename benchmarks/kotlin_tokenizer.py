"""The Android app's tokenizer on the JVM compared with the Hugging Face fast tokenizer in Python, a text at a time.

The app tokenizes what a person types: one text, then the next. So both are called singly, in one thread, on the same
10,000 texts, in alternating rounds, so that a change in the machine's load falls on both alike. Each round's
token count and sum of ids must be equal. The JVM's first round runs cold and is printed separately: a phone compiles
ahead of time.
Desktop times do not predict a phone's; the ratio shows whether the code wastes time.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, cast

import numpy as np
from tokenizers import Tokenizer

from edgepack.bundle.goldens import load_tokenizer, with_length
from edgepack.bundle.manifest import load_manifest
from edgepack.console import format_table
from edgepack.errors import MissingDependency
from edgepack.tokenizer.asset import ASSET_NAME
from tests.apps.kotlin.checks import SOURCES, TESTS
from tests.apps.kotlin.toolchain import ROOT, Toolchain, default_toolchain, joined

TEXTS, ROUNDS = 10_000, 15
MAIN = "dev.edgepack.core.TokenizerBenchmarkKt"


@dataclass(frozen=True)
class Round:
    """One pass over the texts."""

    seconds: float
    tokens: int
    id_sum: int


def compile_benchmark(tools: Toolchain, folder: Path) -> list[Path]:
    """The class path of the app's core and the benchmark's main function."""
    core = ROOT / "sample_apps" / "android" / "core"
    archive = tools.compile([core / SOURCES], folder / "core.jar")
    main = core / TESTS / "dev/edgepack/core/TokenizerBenchmark.kt"
    benchmark = tools.compile([main], folder / "benchmark.jar", friends=[archive])
    return [archive, benchmark, tools.library("kotlin-stdlib")]


class KotlinTokenizer:
    """The benchmark's process, which runs a round when it is told to."""

    def __init__(self, classpath: Sequence[Path], asset: Path, texts: Path, max_length: int) -> None:
        command = ["java", "-XX:+UseSerialGC", "-classpath", joined(classpath), MAIN]
        command += [str(asset), str(texts), str(max_length)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.load_ms = float(self.line())

    def line(self) -> str:
        """The next line that it prints."""
        return cast(IO[str], self.process.stdout).readline()

    def round(self) -> Round:
        """Run a round."""
        stdin = cast(IO[str], self.process.stdin)
        stdin.write("\n")
        stdin.flush()
        nanos, tokens, id_sum = map(int, self.line().split())
        return Round(nanos / 1e9, tokens, id_sum)

    def close(self) -> None:
        """End the process."""
        cast(IO[str], self.process.stdin).close()
        self.process.wait(timeout=30)


def python_round(tokenizer: Tokenizer, texts: Sequence[str]) -> Round:
    """The same in Python, through the fast tokenizer's own call."""
    tokens = id_sum = 0
    started = time.perf_counter()
    encodings = [tokenizer.encode(text).ids for text in texts]
    seconds = time.perf_counter() - started
    for ids in encodings:
        tokens, id_sum = tokens + len(ids), id_sum + sum(ids)
    return Round(seconds, tokens, id_sum)


def read_texts(path: Path, count: int) -> list[str]:
    """The last column of a table, from the second line on, over again until there are `count`."""
    texts = [line.split("\t")[-1] for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    return [texts[i % len(texts)] for i in range(count)]


def main(arguments: Sequence[str]) -> None:
    """Print a table and one JSON line; exit 1 where Kotlin is slower or its tokens differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks kotlin-tokenizer")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("data", type=Path, help="a table with a header and the texts in its last column")
    parser.add_argument("--texts", type=int, default=TEXTS)
    options = parser.parse_args(arguments)
    tools = default_toolchain()
    if reason := tools.missing():
        raise MissingDependency(f"Kotlin cannot be run here: {reason}")
    texts, max_length = read_texts(options.data, options.texts), load_manifest(options.bundle).max_length
    tokenizer = with_length(load_tokenizer(options.bundle / "tokenizer.json"), max_length)
    with TemporaryDirectory() as folder:
        listed = Path(folder) / "texts.txt"
        listed.write_text("\n".join(texts) + "\n", encoding="utf-8")
        classpath = compile_benchmark(tools, Path(folder))
        kotlin = KotlinTokenizer(classpath, options.bundle / ASSET_NAME, listed, max_length)
        pairs = [(kotlin.round(), python_round(tokenizer, texts)) for _ in range(ROUNDS)]
        kotlin.close()
    report(pairs, len(texts), kotlin.load_ms)


def report(pairs: Sequence[tuple[Round, Round]], count: int, load_ms: float) -> None:
    """Compare and print; the first round is the JVM's cold one."""
    wrong = [pair for pair in pairs if (pair[0].tokens, pair[0].id_sum) != (pair[1].tokens, pair[1].id_sum)]
    ours, theirs = (np.array([pair[i].seconds for pair in pairs]) for i in (0, 1))
    result: dict[str, Any] = {
        "texts": count,
        "tokens": pairs[0][0].tokens,
        "kotlin_ms": round(float(np.median(ours[1:])) * 1e3, 2),
        "kotlin_first_ms": round(float(ours[0]) * 1e3, 2),
        "kotlin_load_ms": round(load_ms, 2),
        "python_ms": round(float(np.median(theirs[1:])) * 1e3, 2),
        "faster": round(float(np.median(theirs[1:] / ours[1:])), 2),
        "equal": not wrong,
        "machine": platform.processor() or platform.machine(),
    }
    rows = [
        ["tokenizer", f"ms for {count:,} texts (median of {len(pairs) - 1})", "first round ms"],
        ["Kotlin core on the JVM", f"{result['kotlin_ms']}", f"{result['kotlin_first_ms']}"],
        ["Hugging Face tokenizers, called from Python", f"{result['python_ms']}", f"{theirs[0] * 1e3:.2f}"],
    ]
    print(format_table(rows))
    print(json.dumps(result))
    if wrong or result["kotlin_ms"] > result["python_ms"]:
        raise SystemExit(1)
