"""Settings for the whole suite: no network, one thread, nothing phones home. Set before torch is imported."""

from __future__ import annotations

import os
from collections.abc import Callable
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
