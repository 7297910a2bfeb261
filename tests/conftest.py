"""Settings for the whole suite: no network, one thread, nothing phones home. Set before torch is imported."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("edgepack", deadline=None)  # a busy machine is no defect
settings.load_profile("edgepack")

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

REPOSITORY = Path(__file__).resolve().parents[1]


FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")
ANDROID_TOOLS = ("aapt2", "zipalign", "apksigner", "gcc")
REQUIRED = os.environ.get("EDGEPACK_REQUIRED", "").split()  # tools that must be here: their tests fail, not skip


@pytest.fixture(scope="session")
def require() -> Callable[[str, str], None]:
    """Call it where a tool is missing, with the reason: skips the test; fails it if EDGEPACK_REQUIRED names it."""

    def missing(tool: str, reason: str) -> None:
        (pytest.fail if tool in REQUIRED else pytest.skip)(reason)

    return missing


@pytest.fixture(scope="session")
def web_runtime(require: Callable[[str, str], None]) -> None:
    """Node with onnxruntime-web."""
    from edgepack.errors import MissingDependency
    from edgepack.runtime.onnxruntime_web import find_modules, find_node

    try:
        find_node(), find_modules()
    except MissingDependency as e:
        require("node", str(e))


@pytest.fixture(scope="session")
def android_tools(require: Callable[[str, str], None]) -> Path:
    """Android's tools, and their framework."""
    missing = [tool for tool in ANDROID_TOOLS if shutil.which(tool) is None]
    missing += [] if FRAMEWORK.exists() else [str(FRAMEWORK)]
    if missing:
        install = "apt-get install aapt zipalign apksigner android-framework-res gcc"
        require("android", f"{', '.join(missing)} missing: {install}")
    return FRAMEWORK


@pytest.fixture(scope="session")
def swift_toolchain(require: Callable[[str, str], None]) -> None:
    """Swift's compiler and package manager."""
    from tests.apps.swift.checks import missing

    if reason := missing():
        require("swift", reason)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The research data and teachers beside the checkout; skips the test where they are missing."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "models").is_dir():
        pytest.skip("../shared is not beside this checkout")
    return folder


PROCESSOR_SECONDS = "processor seconds"
MOST_FILES = 25


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Note what a test and the processes that it waited for took; the clock says little where cores are shared."""
    before = sum(os.times()[:4])
    try:
        return (yield)
    finally:
        spent.append((item.path.relative_to(REPOSITORY).as_posix(), sum(os.times()[:4]) - before))


spent: list[tuple[str, float]] = []  # by this process's tests: file, seconds


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker hands its figures to whom it works for."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[PROCESSOR_SECONDS] = spent


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Take over what a worker handed in."""
    spent.extend(map(tuple, getattr(node, "workeroutput", {}).get(PROCESSOR_SECONDS, [])))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The files that take most of the processors' time."""
    files: Counter[str] = Counter()
    for name, seconds in spent:
        files[name] += seconds  # type: ignore[assignment]
    total = sum(files.values())
    if total < 60:
        return
    terminalreporter.section(f"{total:.0f} s of processor time, by file")
    for name, seconds in files.most_common(MOST_FILES):
        terminalreporter.write_line(f"{seconds:7.1f} s  {name}")
