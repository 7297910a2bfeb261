"""The result of mutation testing: killed mutants by file, each survivor with its change; fails below 90 % killed.

    python -m tests.mutants            reads the folder `mutants/` that `mutmut run` leaves; `make mutants` does both
    python -m tests.mutants --page     also writes the table in docs/mutation.md anew

mutmut keeps an exit code for each mutant: a test that fails (1) or cannot run (3) has killed it, and so has one that
takes 15 times its time (a signal). A mutant that no test runs has survived, and so has one that nothing is known of.
"""

from __future__ import annotations

import ast
import difflib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from benchmarks.tables import markdown_table, write_table

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "mutants"
PAGE, TABLE_NAME = REPOSITORY / "docs" / "mutation.md", "mutants"
KILLED = {1, 3, -24, 24, 36, 152, 255}  # a failed test, an error in one, or a time-out
NEEDED = 0.9  # of all mutants


@dataclass(frozen=True)
class MutatedFile:
    """One source file: which of its mutants were killed, and which survived."""

    path: str
    killed: tuple[str, ...]
    survived: tuple[str, ...]

    @property
    def total(self) -> int:
        """All mutants of the file."""
        return len(self.killed) + len(self.survived)


def read_results(folder: Path) -> list[MutatedFile]:
    """The mutated files of a run, in the order of their paths; those without a mutant are left out."""
    found = []
    for meta in sorted(folder.rglob("*.py.meta")):
        codes: dict[str, int | None] = json.loads(meta.read_text())["exit_code_by_key"]
        killed = tuple(name for name, code in codes.items() if code in KILLED)
        survived = tuple(name for name, code in codes.items() if code not in KILLED)
        if codes:
            path = meta.relative_to(folder).as_posix().removesuffix(".meta")
            found.append(MutatedFile(path, killed, survived))
    return found


def share_killed(files: Sequence[MutatedFile]) -> float:
    """Killed mutants as a share of all; 0 where there are none."""
    total = sum(file.total for file in files)
    return sum(len(file.killed) for file in files) / total if total else 0.0


def table(files: Sequence[MutatedFile]) -> str:
    """Killed and surviving mutants by file, as a Markdown table."""
    killed = sum(len(file.killed) for file in files)
    rows = [(f"`{f.path}`", f.total, len(f.killed), len(f.survived), share_killed([f])) for f in files]
    total = sum(file.total for file in files)
    rows.append(("all", total, killed, total - killed, share_killed(files)))
    shown = [(name, f"{n:,}", f"{k:,}", f"{s:,}", f"{share:.1%}") for name, n, k, s, share in rows]
    return markdown_table([("file", "mutants", "killed", "survived", "killed, of all"), *shown])


def changes(folder: Path, file: MutatedFile) -> Iterator[str]:
    """A line for each survivor: its function, and what was written instead of what."""
    tree = ast.parse((folder / file.path).read_text())
    known = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for name in file.survived:
        mutant = name.rpartition(".")[2]
        function = mutant.rpartition("__mutmut_")[0]
        lines = [ast.unparse(known[part]).splitlines()[1:] for part in (f"{function}__mutmut_orig", mutant)]
        changed = [
            line for line in difflib.unified_diff(*lines, lineterm="", n=0) if line[:2] not in ("--", "++", "@@")
        ]
        readable = function.removeprefix("x_").replace("xǁ", "").replace("ǁ", ".")
        yield f"{file.path} {readable}: " + "  →  ".join(line[1:].strip() for line in changed)


def main(arguments: Sequence[str] = (), folder: Path = RESULTS) -> int:
    """Print table and survivors; 0 where enough were killed, 1 where not, 2 without results."""
    files = read_results(folder)
    if not files:
        print(f"{folder} holds no results; run: make mutants", file=sys.stderr)
        return 2
    for file in files:
        for line in changes(folder, file):
            print(line)
    print(table(files))
    if "--page" in arguments:
        write_table(PAGE, TABLE_NAME, f"Measured on {date.today()}:\n\n{table(files)}")
    share = share_killed(files)
    print(f"{share:.2%} of the mutants are killed; at least {NEEDED:.0%} must be")
    return 0 if share >= NEEDED else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
