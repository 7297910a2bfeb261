"""What of an Android project can be checked without Google's Maven repository: compile all of it, run what is pure JVM.

The app's own `R` class is made from its XML resources, so a string that is used and not defined is found. The Compose
plugin's checks run over the app.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests.apps.chains import VECTORS as CHAINS
from tests.apps.decisions import VECTORS as DECISIONS
from tests.apps.entities import VECTORS
from tests.apps.kotlin.toolchain import Toolchain, ToolFailed, joined

STUBS = Path(__file__).parent / "stubs"
PROGRAM = Path(__file__).parent / "RuntimeVersion.kt"
RUNTIMES = ("onnx", "pytorch", "executorch", "litert")
SOURCES, TESTS, DEVICE_TESTS = (Path("src", kind, "kotlin") for kind in ("main", "test", "androidTest"))
SECOND_HALF = "IncompatibleComposeRuntimeVersionException"
RESOURCE_KINDS = {"string": "string", "color": "color", "style": "style"}


@dataclass(frozen=True)
class Checker:
    """Compiles the project in `project` with `tools` into `work`."""

    tools: Toolchain
    project: Path
    work: Path

    def core(self) -> Path:
        """The archive of :core, compiled when it is first asked for."""
        out = self.work / "core.jar"
        return out if out.exists() else self.tools.compile([self.project / "core" / SOURCES], out)

    def test_core(self, goldens: Sequence[Path]) -> str:
        """Run the tests of :core on folders of goldens."""
        core, tests, sources = self.core(), self.work / "core-tests.jar", self.project / "core" / TESTS
        if not tests.exists():
            self.tools.compile([sources], tests, self.tools.test_libraries, friends=[core])
        files = {"entities": VECTORS, "decisions": DECISIONS, "chains": CHAINS}
        vectors = {f"edgepack.{name}": str(path) for name, path in files.items()}
        return self.tools.test(sources, [core, tests], {"edgepack.goldens": joined(goldens), **vectors})

    def stubs(self) -> Path:
        """Stubs that are written in Java, as classes."""
        out = self.work / "stubs"
        return out if out.exists() else self.tools.compile_java(STUBS, out)

    def runtime(self, name: str) -> Path:
        """The archive of a runtime module, against the real library where there is one here."""
        out = self.work / f"runtime-{name}.jar"
        if out.exists():
            return out
        sources = [self.project / f"runtime-{name}" / SOURCES, *self.build_config(name)]
        return self.tools.compile(sources, out, [self.core(), self.library(name), self.stubs()])

    def library(self, name: str) -> Path:
        """The classes that a runtime module is compiled against: the library's own, or stubs."""
        return {"onnx": self.tools.onnxruntime, "executorch": self.tools.executorch}.get(name, self.stubs())

    def build_config(self, name: str) -> list[Path]:
        """The `BuildConfig` that Android's build would make for a runtime module, if it asks for one."""
        script = (self.project / f"runtime-{name}" / "build.gradle.kts").read_text(encoding="utf-8")
        fields = re.findall(r'buildConfigField\("String", "(\w+)", "\\"\$\{libs\.versions\.(\w+)\.get', script)
        assert len(fields) == script.count("buildConfigField") == script.count("buildConfig = true")
        if not fields:
            return []
        catalog = tomllib.loads((self.project / "gradle" / "libs.versions.toml").read_text(encoding="utf-8"))
        constants = [f'    const val {field} = "{catalog["versions"][version]}"' for field, version in fields]
        out = self.work / f"BuildConfig-{name}.kt"
        lines = ["package dev.edgepack.runtime", "", "internal object BuildConfig {", *constants, "}", ""]
        out.write_text("\n".join(lines), encoding="utf-8")
        return [out]

    def runtime_version(self, name: str, manifest: Path) -> list[str]:
        """What a runtime module says of its version, and of whether it can run the bundle with this manifest."""
        used = [self.core(), self.runtime(name), self.library(name), self.stubs()]
        program = self.tools.compile([PROGRAM], self.work / f"runtime-version-{name}.jar", used)
        return self.tools.program("dev.edgepack.checks.RuntimeVersion", [*used, program], [str(manifest)]).splitlines()

    def test_onnx(self, bundles: Sequence[Path], report: Path | None = None) -> str:
        """Run the bundles' models through the app's own code in ONNX Runtime's Java library.

        `report`: where the device report of the first one is written.
        """
        sources = self.project / "runtime-onnx" / TESTS
        used = [self.core(), self.runtime("onnx"), self.tools.onnxruntime]
        tests = self.work / "runtime-onnx-tests.jar"
        if not tests.exists():
            self.tools.compile([sources], tests, [*used, *self.tools.test_libraries], friends=[self.runtime("onnx")])
        goldens = self.project / "core/src/test/resources/golden"
        properties = {"edgepack.bundles": joined(bundles), "edgepack.goldens": str(goldens)}
        if report is not None:
            properties["edgepack.report"] = str(report)
        return self.tools.test(sources, [*used, tests, self.stubs()], properties)

    def runtime_names(self) -> list[str]:
        """The runtime modules that the project has."""
        return [name for name in RUNTIMES if (self.project / f"runtime-{name}").is_dir()]

    def app(self) -> Path:
        """The app, against stubs of androidx and Android: once as plain Kotlin, once by the rules of Compose."""
        out = self.work / "app.jar"
        if out.exists():
            return out
        (self.work / "R.kt").write_text(resources(self.project / "app/src/main/res"), encoding="utf-8")
        sources = [self.project / "app" / SOURCES, self.work / "R.kt"]
        self.check_compose(sources)
        return self.compile_app(sources, out)

    def test_app(self) -> str:
        """Run the tests of :app that need no device, against the stubs."""
        app, sources, tests = self.app(), self.project / "app" / TESTS, self.work / "app-tests.jar"
        coroutines = self.tools.library("kotlinx-coroutines-core-jvm")
        self.tools.compile([sources], tests, [self.core(), coroutines, *self.tools.test_libraries], friends=[app])
        return self.tools.test(sources, [app, tests, self.core(), coroutines], {})

    def device_tests(self) -> Path:
        """The tests of :app that run on a phone, compiled against the stubs."""
        sources, out = [self.project / "app" / DEVICE_TESTS, STUBS / "compose-test"], self.work / "app-device-tests.jar"
        classpath = [self.core(), self.runtime(self.runtime_names()[0]), self.stubs(), *self.tools.test_libraries]
        return self.tools.compile(sources, out, classpath, friends=[self.app()])

    def compile_app(self, sources: Sequence[Path], out: Path, options: Sequence[str] = ()) -> Path:
        """Compile files of the app, or others that use Compose, together with the stubs."""
        coroutines = self.tools.library("kotlinx-coroutines-core-jvm")
        classpath = [self.core(), self.runtime(self.runtime_names()[0]), coroutines, self.stubs()]
        return self.tools.compile([*sources, STUBS / "compose"], out, classpath, options=options)

    def check_compose(self, sources: Sequence[Path]) -> None:
        """Have the Compose plugin check where composable functions are called; `ToolFailed` with what it found.

        The plugin's second half, which rewrites the code, needs the real Compose runtime and says so: that it is
        reached means that the first half, which reports errors, and the compiler itself had nothing to report.
        """
        plugin = self.tools.library("compose-compiler-plugin")
        try:
            self.compile_app(sources, self.work / "compose.jar", [f"-Xplugin={plugin}"])
        except ToolFailed as e:
            if SECOND_HALF not in str(e) or re.search(r"^.*: (error|warning): ", str(e), re.MULTILINE):
                raise


def resources(folder: Path) -> str:
    """Kotlin source of the `R` that Android's build would make of a `res` folder."""
    names: dict[str, set[str]] = {}
    for path in sorted(folder.glob("*/*.xml")):
        kind = path.parent.name.split("-")[0]
        if kind != "values":
            names.setdefault(kind, set()).add(path.stem)
            continue
        for element in ElementTree.parse(path).getroot():
            if element.tag in RESOURCE_KINDS:
                names.setdefault(element.tag, set()).add(element.attrib["name"].replace(".", "_"))
    parts = ["package dev.edgepack.app", "", '@Suppress("unused", "ClassName")', "object R {"]
    for kind in sorted(names):
        values = [f"        const val {name}: Int = {i}" for i, name in enumerate(sorted(names[kind]))]
        parts += [f"    object {kind} {{", *values, "    }"]
    return "\n".join([*parts, "}", ""])
