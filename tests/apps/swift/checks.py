"""The iOS app's Swift, as far as it runs without Xcode: EdgepackCore's tests, and the app's files against stubs.

`swift` and `swiftc` come from the path; `install.sh` puts them into a folder where a Debian has none.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from edgepack.package.template import checkout
from tests.apps.chains import VECTORS as CHAINS
from tests.apps.decisions import VECTORS as DECISIONS
from tests.apps.entities import VECTORS

HERE = Path(__file__).parent
FOUNDATION = "20FoundationEssentials"  # where Debian's Foundation has URL
CALL = re.compile(r"(.*?)(F|fC|v[gs]Z?)")
ENDS = {"fC": "fc", "vg": "vp", "vs": "vp", "vgZ": "vpZ", "vsZ": "vpZ"}  # a call's end, and its declaration's
TEST_FLAGS = ["-c", "release", "-Xswiftc", "-enable-testing", "-Xswiftc", "-warnings-as-errors"]


def missing() -> str | None:
    """Why Swift cannot run here."""
    absent = next((name for name in ("swift", "swiftc") if shutil.which(name) is None), None)
    return f"{absent} is not on the path; tests/apps/swift/install.sh puts it into a folder" if absent else None


def run_core_tests(
    scratch: Path, goldens: Sequence[Path] = (), only: str | None = None, report: tuple[Path, Path] | None = None
) -> str:
    """What EdgepackCore's tests print; each folder of `goldens` holds tokenizer.bin, edgepack.json and *.jsonl.

    `only`: a class of tests; `report`: a bundle, and where the device report of this computer is written for it.

    Built in `scratch`, or in EDGEPACK_SWIFT_BUILD, once for all that call this. Any diagnostic of the compiler fails.
    """
    build = os.environ.get("EDGEPACK_SWIFT_BUILD", scratch)
    package = ["--package-path", checkout() / "ios" / "EdgepackCore", "--scratch-path", build]
    files = {"ENTITIES": VECTORS, "DECISIONS": DECISIONS, "CHAINS": CHAINS}
    environment = {f"EDGEPACK_{name}": str(path) for name, path in files.items()}
    if goldens:
        environment["EDGEPACK_GOLDENS"] = ":".join(str(folder.resolve()) for folder in goldens)
    if report is not None:
        environment |= {"EDGEPACK_BUNDLE": str(report[0].resolve()), "EDGEPACK_REPORT": str(report[1].resolve())}
    chosen = [] if only is None else ["--filter", only]
    out = run(["swift", "test", *map(str, package), *TEST_FLAGS, *chosen], **environment)
    assert not re.search(r"^(warning|error):", out, re.MULTILINE), out  # the package manager's own
    return out


def check_app(scratch: Path, app: Path) -> str:
    """What the type check of an iOS project prints: nothing, where all is well."""
    return run([str(HERE / "check_app.sh"), str(scratch), str(app)])


def called(scratch: Path, modules: Sequence[str]) -> set[str]:
    """What a type-checked app calls of these modules, each as `documented` has it."""
    names = "|".join(f"{len(name)}{name}" for name in modules)
    symbols = re.findall(rf"\$s((?:{names})\w+)", (scratch / "sample.s").read_text(encoding="utf-8"))
    for of_debian, of_ios in ((FOUNDATION, "10Foundation"), ("AA4Span", "s4Span")):
        symbols = [symbol.replace(of_debian, of_ios) for symbol in symbols if "4SpanV" not in symbol[:30]]
    calls = (CALL.fullmatch(symbol) for symbol in symbols)
    return {f"s:{call[1]}{ENDS.get(call[2], call[2])}" for call in calls if call}


def documented() -> set[str]:
    """The identifiers of Core AI's documentation that the app may call."""
    lines = (HERE / "stubs" / "coreai-symbols.txt").read_text(encoding="utf-8").splitlines()
    return {line.split()[0] for line in lines if not line.startswith("#")}


def run(command: list[str], **environment: str) -> str:
    """Output and errors together; `AssertionError` with both where the command fails."""
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:]
    return done.stdout
