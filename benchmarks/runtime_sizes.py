"""What runtimes add to an app, measured in their packages: `edgepack/bundle/runtime_sizes.toml` with figures of today.

    python -m benchmarks runtime-sizes

Each entry's package is fetched in its version by pip or npm, for its own platform. Its files are counted: bytes, and
bytes after gzip at level 9, file by file. Nothing is installed or run. `bytes`, `gzip_bytes` and `date` of the entries
are rewritten; a file that the package does not hold is an error.
"""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from edgepack.bundle.growth import TABLE, RuntimeSize, load_sizes
from edgepack.errors import InputError, MissingDependency
from edgepack.parameters import format_size

PYTHON = "3.12"  # which Python's wheel: the libraries in them are the same


def main(argv: Sequence[str]) -> None:
    """Measure every entry again and rewrite the table."""
    if argv:
        raise InputError(f"runtime-sizes takes no argument, not {argv[0]!r}")
    entries = TABLE.read_text(encoding="utf-8").split("[[sizes]]\n")
    today = datetime.now(UTC).date()
    for number, size in enumerate(load_sizes(), start=1):
        if size.registry == "system":
            continue
        plain, packed = measure(size)
        print(f"{size.device:<8} {size.library} {size.version}: {format_size(plain)}, {format_size(packed)} with gzip")
        for key, value in {"bytes": plain, "gzip_bytes": packed, "date": today}.items():
            entries[number] = re.sub(rf"^{key} = .*$", f"{key} = {value}", entries[number], flags=re.MULTILINE)
    TABLE.write_text("[[sizes]]\n".join(entries), encoding="utf-8")


def measure(size: RuntimeSize) -> tuple[int, int]:
    """Bytes of the entry's files in its package, as they are and after gzip."""
    with TemporaryDirectory() as folder:
        contents = read_files(fetch(size, Path(folder)), size.files)
    return sum(map(len, contents)), sum(len(gzip.compress(content, 9, mtime=0)) for content in contents)


def fetch(size: RuntimeSize, folder: Path) -> Path:
    """The entry's package, fetched into an empty folder."""
    if size.registry == "npm":
        command = ["npm", "pack", "--silent", f"{size.package}@{size.version}", "--pack-destination", str(folder)]
    else:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        command += ["--platform", size.platform, "--python-version", PYTHON, "--dest", str(folder)]
        command += [f"{size.package}=={size.version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = list(folder.iterdir())
    if done.returncode or len(found) != 1:
        raise MissingDependency(f"{size.package} {size.version} could not be fetched: {done.stderr.strip()[-300:]}")
    return found[0]


def read_files(package: Path, names: Sequence[str]) -> list[bytes]:
    """The contents of these files of a wheel or an npm package."""
    try:
        if package.suffix == ".whl":
            with zipfile.ZipFile(package) as wheel:
                return [wheel.read(name) for name in names]
        with tarfile.open(package) as archive:
            found = [archive.extractfile(name) for name in names]
            return [each.read() for each in found if each is not None]
    except KeyError as e:
        raise InputError(f"{package.name}: {e.args[0]}; correct the files of its entry in {TABLE.name}") from e
