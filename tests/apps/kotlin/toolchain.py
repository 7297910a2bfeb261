"""Kotlin's compiler and the libraries that the Android app is checked against, out of package registries.

    python -m tests.apps.kotlin.toolchain [FOLDER]      fetch what is missing (about 330 MB)

Google's Maven repository and Maven Central are not needed: the compiler is an npm package, JUnit a Debian one (junit4).
Two real libraries travel in packages made for other ends: ONNX Runtime's Java library 1.17, its native library for
Linux included, in the Java archive of pyserini (PyPI); ExecuTorch's Java classes in react-native-executorch (npm).
FOLDER is `.tools/kotlin` of the checkout, or what `EDGEPACK_KOTLIN` says.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgepack.workspace import sha256_file

ROOT = Path(__file__).parents[3]
DEBIAN = Path("/usr/share/java")
COMPILER, EXECUTORCH, ONNXRUNTIME = "kotlin-compiler@2.4.20", "react-native-executorch@0.6.0", "pyserini==1.6.0"
# The app is built with an older Kotlin (gradle/libs.versions.toml); the compiler holds the code to that language.
LANGUAGE_VERSION, JVM_TARGET = "2.3", "17"
KEPT_ARCHIVES = 60  # the newest; megabytes each
# Starting up is most of a small compilation: no optimizing compiler, no parallel collector.
JAVA = ("java", "-Xmx1200m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


class ToolFailed(AssertionError):
    """A compiler or a test run that exited with an error; holds what it printed."""


@dataclass(frozen=True)
class Toolchain:
    """What `fetch` left in a folder."""

    folder: Path

    @property
    def home(self) -> Path:
        """The Kotlin compiler's package."""
        return self.folder / "kotlin-compiler"

    @property
    def onnxruntime(self) -> Path:
        """ONNX Runtime's classes and native library."""
        return self.folder / "onnxruntime"

    @property
    def executorch(self) -> Path:
        """ExecuTorch's classes."""
        return self.folder / "executorch.jar"

    def library(self, name: str) -> Path:
        """A library of the compiler's package."""
        return self.home / "lib" / f"{name}.jar"

    @property
    def test_libraries(self) -> list[Path]:
        """kotlin.test and JUnit."""
        names = ("kotlin-stdlib", "kotlin-test", "kotlin-test-junit")
        return [*map(self.library, names), DEBIAN / "junit4.jar", DEBIAN / "hamcrest-core.jar"]

    def missing(self) -> str | None:
        """What is not there, and how to get it; None if all is."""
        if not shutil.which("javac"):
            return "no JDK; install openjdk-17-jdk-headless"
        if not (DEBIAN / "junit4.jar").is_file():
            return "no JUnit; install the Debian package junit4"
        if not all(path.exists() for path in (self.library("kotlin-compiler"), self.onnxruntime, self.executorch)):
            return f"no Kotlin tools in {self.folder}; run python -m tests.apps.kotlin.toolchain"
        return None

    def compile(
        self,
        sources: Sequence[Path],
        out: Path,
        classpath: Sequence[Path] = (),
        friends: Sequence[Path] = (),
        options: Sequence[str] = (),
    ) -> Path:
        """Compile folders or files to the archive `out`; `friends` are archives whose internals are visible.

        Warnings are errors. An archive that was made of the same bytes before is taken from `compiled/`: the tests of
        one run compile the same template many times, for half a minute each.
        """
        said = [self.home.name, COMPILER, LANGUAGE_VERSION, JVM_TARGET, *options]
        kept = self.folder / "compiled" / f"{content_hash(said, [sources, classpath, friends])}.jar"
        if not kept.exists():
            kept.parent.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(dir=kept.parent) as work:
                made = Path(work) / out.name
                self._compile(sources, made, classpath, friends, options)
                os.replace(made, kept)
            for old in sorted(kept.parent.glob("*.jar"), key=lambda path: path.stat().st_mtime)[:-KEPT_ARCHIVES]:
                old.unlink(missing_ok=True)
        shutil.copyfile(kept, out)
        return out

    def _compile(
        self,
        sources: Sequence[Path],
        out: Path,
        classpath: Sequence[Path],
        friends: Sequence[Path],
        options: Sequence[str],
    ) -> None:
        command = [*JAVA, "-cp", str(self.library("kotlin-compiler")), "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"]
        command += ["-kotlin-home", str(self.home), "-language-version", LANGUAGE_VERSION, "-jvm-target", JVM_TARGET]
        command += ["-Werror", "-d", str(out), *options]
        command += ["-classpath", joined([*classpath, *friends])] if classpath or friends else []
        command += [f"-Xfriend-paths={','.join(map(str, friends))}"] if friends else []
        run([*command, *map(str, sources)])

    def compile_java(self, folder: Path, out: Path) -> Path:
        """Compile the Java files under `folder` to the folder `out`."""
        run(["javac", "-nowarn", "-d", str(out), *map(str, sorted(folder.rglob("*.java")))])
        return out

    def test(self, sources: Path, classpath: Sequence[Path], properties: dict[str, str]) -> str:
        """Run the JUnit classes (`*Test.kt`) whose sources are under `sources`; what they printed."""
        names = sorted(".".join(path.relative_to(sources).with_suffix("").parts) for path in sources.rglob("*Test.kt"))
        command = ["java", "-Xmx1200m", *(f"-D{key}={value}" for key, value in properties.items())]
        command += ["-classpath", joined([*classpath, *self.test_libraries]), "org.junit.runner.JUnitCore", *names]
        return run(command, ORT_DISABLE_TELEMETRY="1")

    def program(self, name: str, classpath: Sequence[Path], arguments: Sequence[str]) -> str:
        """Run a main class; what it printed."""
        command = ["java", "-Xmx1200m", "-classpath", joined([*classpath, self.library("kotlin-stdlib")]), name]
        return run([*command, *arguments])


def default_toolchain() -> Toolchain:
    """The tools where they are looked for."""
    return Toolchain(Path(os.environ.get("EDGEPACK_KOTLIN") or ROOT / ".tools" / "kotlin"))


def content_hash(words: Sequence[str], groups: Sequence[Sequence[Path]]) -> str:
    """Of words and of what lies in files and folders, by their names inside a folder; where it lies does not matter."""
    digest = hashlib.sha256(repr(list(words)).encode())
    for group in groups:
        for path in group:
            files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
            named = [(file.relative_to(path).as_posix(), sha256_file(file)) for file in files]
            digest.update(repr(named).encode())
        digest.update(b"|")
    return digest.hexdigest()


def joined(paths: Sequence[Path]) -> str:
    """A class path."""
    return os.pathsep.join(map(str, paths))


def run(command: Sequence[str], cwd: Path | None = None, **environment: str) -> str:
    """What a command printed; `ToolFailed` with it if the command failed."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise ToolFailed(f"{command[0]} exited with {done.returncode}:\n{done.stdout}")
    return done.stdout


def fetch(tools: Toolchain) -> None:
    """Fetch what is missing; each part appears whole or not at all."""
    tools.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=tools.folder) as scratch:
        work = Path(scratch)
        if not tools.home.exists():
            os.rename(unpacked(npm_package(COMPILER, work), "package/", work / "kotlin") / "package", tools.home)
        if not tools.executorch.exists():
            name = "package/android/libs/classes.jar"
            os.rename(unpacked(npm_package(EXECUTORCH, work), name, work / "executorch") / name, tools.executorch)
        if not tools.onnxruntime.exists():
            os.rename(onnxruntime_classes(work), tools.onnxruntime)


def npm_package(name: str, work: Path) -> Path:
    """The package's archive; nothing of it is run."""
    printed = run(["npm", "pack", "--silent", "--ignore-scripts", name], cwd=work)
    return work / printed.strip().splitlines()[-1]


def unpacked(archive: Path, member: str, folder: Path) -> Path:
    """`folder` with the file or folder `member` of a tar archive, by tar: Python's own is safe from 3.11.4 on."""
    folder.mkdir(parents=True, exist_ok=True)
    run(["tar", "-xf", str(archive), "-C", str(folder), member], cwd=folder)
    archive.unlink()
    return folder


def onnxruntime_classes(work: Path) -> Path:
    """A folder with ONNX Runtime's Java classes and its native library for Linux on x86-64."""
    options = ["--quiet", "--no-deps", "--no-binary", ":all:", "-d", "."]
    run([sys.executable, "-m", "pip", "download", *options, ONNXRUNTIME], work)
    source = next(work.glob("pyserini-*.tar.gz"))
    folder = unpacked(source, source.name.removesuffix(".tar.gz") + "/pyserini/resources/jars/", work / "pyserini")
    with zipfile.ZipFile(next(folder.rglob("*.jar"))) as jar:
        names = [name for name in jar.namelist() if name.startswith("ai/onnxruntime/")]
        wanted = [name for name in names if name.endswith(".class") or "/native/linux-x64/" in name]
        jar.extractall(work / "onnxruntime", wanted)
    return work / "onnxruntime"


if __name__ == "__main__":
    chosen = Toolchain(Path(sys.argv[1])) if len(sys.argv) > 1 else default_toolchain()
    fetch(chosen)
    sys.exit(chosen.missing())  # None: all is there
