"""`tokenizer.bin` of each kind: its bytes, load time, speed and memory in every reader, compared with Hugging Face's.

    python -m benchmarks tokenizers --shared ../shared

Vocabularies are whole, not trimmed. Each reader is a process of its own that tokenizes the same sentences when it is
told to, a text at a time in one thread; the Hugging Face tokenizer, called singly in another process, takes every other
turn, so that the machine's load falls on both alike. Each round's count of tokens and sum of ids must be equal.

Memory is the process's resident set as Linux counts it: after loading, and how far it grows while it tokenizes. A
reader whose tools are missing is "not measured", with the reason. Rewrites the table of docs/results.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import IO, cast

from tokenizers import Tokenizer

from benchmarks.kotlin_tokenizer import MAIN, compile_benchmark
from benchmarks.runs import REPOSITORY
from benchmarks.store import RESULTS, Store
from benchmarks.tables import markdown_table, write_table
from edgepack.bundle.record import Record
from edgepack.errors import InputError
from edgepack.tokenizer.asset import asset_bytes
from tests.apps.kotlin.toolchain import default_toolchain, joined
from tests.apps.swift import checks
from tests.apps.unigrams import unigram
from tests.apps.variants import byte_pairs

TEXTS, ROUNDS, MAX_LENGTH = 10_000, 4, 128  # the first round is cold and does not count, unless it is the only one
NAME = "tokenizer-assets"
PAGE = REPOSITORY / "docs" / "results.md"
APPS = REPOSITORY / "tests" / "apps"
READERS = ("Python reference", "Kotlin (JVM)", "Swift", "JavaScript (Node)")
HOST = (sys.executable, "-m", "benchmarks.tokenizer_host")
KINDS: dict[str, tuple[str, Callable[[Path], Tokenizer]]] = {
    "wordpiece": (
        "WordPiece, English",
        lambda shared: Tokenizer.from_file(str(shared / "models" / "base-minilm" / "tokenizer.json")),
    ),
    "wordpiece-chinese": (
        "WordPiece, Chinese",
        lambda shared: Tokenizer.from_file(str(shared / "data" / "tokenizers" / "bert-chinese" / "tokenizer.json")),
    ),
    "byte-pairs": (
        "byte-level BPE, GPT-2",
        lambda shared: byte_pairs("byte-level", shared / "data" / "tokenizers" / "gpt2"),
    ),
    "unigram-albert": (
        "Unigram, German ALBERT",
        lambda shared: unigram("albert", shared / "data" / "tokenizers" / "albert-de"),
    ),
    "unigram-t5": ("Unigram, Russian T5", lambda shared: unigram("t5", shared / "data" / "tokenizers" / "t5-ru")),
}


class ReaderResult(Record):
    """One reader's figures; `missing` says why there are none."""

    missing: str | None = None
    load_ms: float | None = None
    seconds: float | None = None
    library_seconds: float | None = None
    loaded_bytes: int | None = None
    growth_bytes: int | None = None
    equal: bool | None = None

    @property
    def ratio(self) -> float | None:
        """Its time compared with the Hugging Face tokenizer's in the same rounds; below 1 is faster."""
        return None if self.seconds is None or self.library_seconds is None else self.seconds / self.library_seconds


class KindResult(Record):
    """What is kept of one kind of tokenizer."""

    tokens_of_vocabulary: int
    asset_bytes: int
    texts: int
    tokens: int
    machine: str
    readers: dict[str, ReaderResult]


class Host:
    """A process that tokenizes all texts each time a line comes in; its first line is its load time in ms."""

    def __init__(self, command: Sequence[str]) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.load_ms = float(self.line())

    def line(self) -> str:
        """The next line that it prints."""
        return cast(IO[str], self.process.stdout).readline()

    def round(self) -> tuple[float, int, int]:
        """Seconds, tokens, sum of ids."""
        stdin = cast(IO[str], self.process.stdin)
        stdin.write("\n")
        stdin.flush()
        nanos, tokens, ids = map(int, self.line().split())
        return nanos / 1e9, tokens, ids

    def memory(self, what: str) -> int:
        """`VmRSS` or `VmHWM`, in bytes."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:"))

    def close(self) -> None:
        """End the process."""
        cast(IO[str], self.process.stdin).close()
        self.process.wait(timeout=60)


def find_readers(folder: Path, wanted: Sequence[str]) -> dict[str, list[str] | str]:
    """How each reader is started, without its three arguments; a text says why it cannot be."""
    start: dict[str, Callable[[], list[str] | str]] = {
        "Python reference": lambda: [*HOST, "reference"],
        "Kotlin (JVM)": lambda: kotlin_command(folder),
        "Swift": lambda: checks.missing() or [str(compile_swift(folder))],
        "JavaScript (Node)": lambda: (
            ["node", str(APPS / "javascript" / "benchmark.mjs")] if shutil.which("node") else "node is not on the path"
        ),
    }
    return {name: start[name]() if name in wanted else "left out of the recorded run" for name in READERS}


def kotlin_command(folder: Path) -> list[str] | str:
    """The Android app's core on the JVM."""
    tools = default_toolchain()
    return tools.missing() or [
        *("java", "-XX:+UseSerialGC", "-classpath", joined(compile_benchmark(tools, folder)), MAIN)
    ]


def compile_swift(folder: Path) -> Path:
    """The benchmark's program, with EdgepackCore's files compiled into it."""
    shutil.copyfile(APPS / "swift" / "benchmark.swift", folder / "main.swift")
    core = REPOSITORY / "sample_apps" / "ios" / "EdgepackCore" / "Sources" / "EdgepackCore"
    sources = [str(path) for path in sorted(core.rglob("*.swift"))]
    program = folder / "tokenize"
    command = [
        "swiftc",
        "-swift-version",
        "6",
        "-O",
        "-whole-module-optimization",
        "-module-name",
        "EdgepackCore",
        *sources,
    ]
    target = json.loads(checks.run(["swiftc", "-print-target-info"]))
    for place in target["paths"]["runtimeLibraryPaths"]:
        command += ["-Xlinker", "-rpath", "-Xlinker", place]
    checks.run([*command, str(folder / "main.swift"), "-o", str(program)])
    return program


def measure_reader(command: Sequence[str], library: Sequence[str], rounds: int) -> tuple[ReaderResult, int]:
    """Alternating rounds of a reader and of the library; the tokens of a round too."""
    ours, theirs = Host(command), Host(library)
    loaded = ours.memory("VmRSS")
    pairs = [(ours.round(), theirs.round()) for _ in range(rounds)]
    grown = ours.memory("VmHWM") - loaded
    ours.close()
    theirs.close()
    counted = pairs[1:] or pairs
    result = ReaderResult(
        load_ms=round(ours.load_ms, 1),
        seconds=round(median(mine[0] for mine, _ in counted), 3),
        library_seconds=round(median(other[0] for _, other in counted), 3),
        loaded_bytes=loaded,
        growth_bytes=max(0, grown),
        equal=all(mine[1:] == other[1:] for mine, other in pairs),
    )
    return result, pairs[0][1][1]


def measure_kind(
    tokenizer: Tokenizer, readers: dict[str, list[str] | str], texts: Path, folder: Path, rounds: int
) -> KindResult:
    """All readers on one tokenizer."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    asset, whole = folder / "tokenizer.bin", folder / "tokenizer.json"
    asset.write_bytes(asset_bytes(tokenizer))
    tokenizer.save(str(whole))
    arguments = [str(texts), str(MAX_LENGTH)]
    library = [*HOST, "library", str(whole), *arguments]
    found, tokens = dict[str, ReaderResult](), 0
    for name, command in readers.items():
        if isinstance(command, str):
            found[name] = ReaderResult(missing=command)
            continue
        count = min(rounds, 1) if name == "Python reference" else rounds  # it is there to be right, not to be fast
        found[name], tokens = measure_reader([*command, str(asset), *arguments], library, count)
        print(f"{name}: {found[name]}", file=sys.stderr)
    return KindResult(
        tokens_of_vocabulary=tokenizer.get_vocab_size(),
        asset_bytes=asset.stat().st_size,
        texts=len(texts.read_text(encoding="utf-8").split("\n")) - 1,
        tokens=tokens,
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} shared cores",
        readers=found,
    )


def result_table(results: dict[str, KindResult]) -> str:
    """Markdown: a row for each kind and reader."""
    rows = [["tokenizer", "asset bytes", "reader", "load", "sentences", "compared with HF", "memory", "grows by"]]
    for kind, (title, _) in KINDS.items():
        if kind not in results:
            continue
        result, first = results[kind], True
        for name, reader in result.readers.items():
            start = (
                [f"{title}, {result.tokens_of_vocabulary:,} tokens", f"{result.asset_bytes:,}"] if first else ["", ""]
            )
            rows.append([*start, name, *reader_cells(reader)])
            first = False
    return markdown_table(rows)


def reader_cells(reader: ReaderResult) -> list[str]:
    """One reader's figures, or why there are none."""
    if reader.ratio is None:
        return [f"not measured: {reader.missing}", "", "", "", ""]
    memory = [f"{(size or 0) / 1e6:.0f} MB" for size in (reader.loaded_bytes, reader.growth_bytes)]
    same = "" if reader.equal else ", other tokens"
    return [f"{reader.load_ms:.0f} ms", f"{reader.seconds:.2f} s", f"{reader.ratio:.2f} x{same}", *memory]


def read_sentences(path: Path, count: int) -> str:
    """The first sentences of a file, a line each."""
    lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    if len(lines) < count:
        raise InputError(f"{path.name} has {len(lines)} sentences; {count} are needed")
    return "\n".join(" ".join(line.split()) for line in lines[:count]) + "\n"


def main(arguments: Sequence[str]) -> None:
    """Measure, keep the results, rewrite the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks tokenizers")
    parser.add_argument("--shared", type=Path, required=True, help="folder with models/ and data/")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--texts", type=int, default=TEXTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--readers", nargs="+", choices=READERS, default=READERS)
    options = parser.parse_args(arguments)
    store = Store(options.results / NAME)
    with TemporaryDirectory() as name:
        folder = Path(name)
        listed = folder / "texts.txt"
        sentences = options.shared / "data" / "text" / "wiki-sentences.txt"
        listed.write_text(read_sentences(sentences, options.texts), encoding="utf-8")
        readers = find_readers(folder, options.readers)
        for kind in options.kinds:
            store.save(kind, measure_kind(KINDS[kind][1](options.shared), readers, listed, folder, options.rounds))
            write_table(options.page, NAME, result_table(store.load_all(KindResult)))
