"""What this machine can build, run and verify, and the exact line that installs what is missing.

Each finding is one thing looked for: present or not, what it is for, and how to get it. `needed` is what this
installation cannot do its work without: a light one checks, packages and reports; one with the extra `build` makes
models too, and then every package of that extra is needed. The rest are formats and checks that some targets need.
Nothing is installed, nothing is downloaded, and a finding is what was tried here, not what a version number promises.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console as RichConsole
from rich.table import Table

from edgepack.errors import MissingDependency
from edgepack.evidence.emulation import ARM64_QEMU, INSTALL_QEMU, PREPARE, ROOT, find_qemu, is_ready
from edgepack.machine.extras import BUILD_PACKAGES, INSTALL_BUILD
from edgepack.runtime.onnxruntime_web import INSTALL_PACKAGE, find_modules

BASE_PACKAGES = {"numpy": "everything", "onnxruntime": "running ONNX artifacts", "tokenizers": "tokenizers"}
LIGHT_COMMANDS = "predict, gate, compare, sign, bom, package, inspect, report, targets, doctor"
BUILD_COMMANDS = "finetune, profile, plan, recipes, build, sweep, export, validate, bundle, demo"
BUILD_EXTRA = "extra build"
EXTRA_PACKAGES = {
    "executorch": ("executorch", "ExecuTorch artifacts"),
    "coreml": ("coremltools", "Core ML artifacts, which macOS alone runs"),
    "coreai": ("coreai-core", "Core AI artifacts"),
    "litert": ("ai-edge-litert", "running LiteRT artifacts"),
}
TOOLS = {
    "java": (["java", "-version"], "checking Android code", "apt-get install openjdk-17-jdk-headless"),
    "node": (["node", "--version"], "web-onnx artifacts, the web app", "apt-get install nodejs npm"),
    "swift": (
        ["swift", "--version"],
        "checking iOS code",
        "tests/apps/swift/install.sh FOLDER, then FOLDER/bin on the path",
    ),
    "aapt2": (
        ["aapt2", "version"],
        "testing the inspector",
        "apt-get install aapt zipalign apksigner android-framework-res",
    ),
    "chromium": (["chromium", "--version"], "checking web bundles and the web app", "apt-get install chromium"),
}
INSTALL_BASE, REINSTALL_BUILD = "pip install edgepack", 'pip install --force-reinstall "edgepack[build]"'
NO_QNNPACK = f"{REINSTALL_BUILD} (torch as PyPI and pytorch.org have it has qnnpack)"
DISK_NEEDED_BYTES = 3 * 10**9  # a build of a 90 MB teacher with 67,000 examples leaves about 2 GB
MEMORY_NEEDED_BYTES = 4 * 10**9


@dataclass(frozen=True)
class Finding:
    """One thing looked for on this machine."""

    name: str
    present: bool
    detail: str
    purpose: str
    remedy: str = ""
    needed: bool = False


@dataclass(frozen=True)
class Diagnosis:
    """All findings; `complete` when nothing that this installation needs is missing."""

    findings: tuple[Finding, ...]

    @property
    def complete(self) -> bool:
        """Whether all works that this installation is for."""
        return all(finding.present for finding in self.findings if finding.needed)

    @property
    def can_build(self) -> bool:
        """Whether models can be made here: the extra `build` is installed, and nothing that it needs is missing."""
        return self.complete and all(finding.present for finding in self.findings if finding.name == BUILD_EXTRA)

    def to_record(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        findings = [asdict(finding) for finding in self.findings]
        return {"complete": self.complete, "can_build": self.can_build, "findings": findings}

    def summary(self) -> str:
        """Which commands work here, and the line for the others."""
        if not self.complete:
            return "Something is missing that this installation needs; see below."
        if self.can_build:
            return "All commands work here."
        return f"These commands work here: {LIGHT_COMMANDS}.\nFor {BUILD_COMMANDS}: {INSTALL_BUILD}"

    def table(self) -> str:
        """What works, a table for people, and a line for each thing to install."""
        table = Table("", "what", "found", "for", box=None, pad_edge=False)
        for finding in self.findings:
            mark = "ok" if finding.present else ("MISSING" if finding.needed else "-")
            table.add_row(mark, finding.name, finding.detail, finding.purpose)
        console = RichConsole(width=110, no_color=True)
        with console.capture() as capture:
            console.print(table)
        remedies = [f"{f.name}: {f.remedy}" for f in self.findings if not f.present and f.remedy]
        lines = [self.summary(), "", capture.get().rstrip(), *(["", "To add:", *remedies] if remedies else [])]
        return "\n".join(lines)


def examine() -> Diagnosis:
    """Look at this machine."""
    findings = [
        _python(),
        *(_package(package, package, purpose, INSTALL_BASE, True) for package, purpose in BASE_PACKAGES.items()),
        *_build_extra(),
        *_extras(),
        *_tools(),
        _web_runtime(),
        *_arm64(),
        _disk(),
        _memory(),
    ]
    return Diagnosis(tuple(findings))


def _python() -> Finding:
    detail = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", sys.version_info >= (3, 11), detail, "everything", "install Python 3.11 or newer", True)


def _build_extra() -> list[Finding]:
    """The extra `build`: its packages and what torch can do here, or that it is not installed."""
    packages = [_package(package, package, what, INSTALL_BUILD, True) for package, what in BUILD_PACKAGES.items()]
    if not any(finding.present for finding in packages if finding.name in ("torch", "transformers")):
        return [Finding(BUILD_EXTRA, False, "not installed", BUILD_COMMANDS, INSTALL_BUILD)]
    return [*packages, *_torch()]


def _extras() -> list[Finding]:
    return [
        _package(f"extra {extra}", package, purpose, f'pip install "edgepack[{extra}]"', False)
        for extra, (package, purpose) in EXTRA_PACKAGES.items()
    ]


def _package(name: str, package: str, purpose: str, remedy: str, needed: bool) -> Finding:
    try:
        return Finding(name, True, version(package), purpose, remedy, needed)
    except PackageNotFoundError:
        return Finding(name, False, "not installed", purpose, remedy, needed)


def _torch() -> list[Finding]:
    try:
        torch = import_module("torch")
    except ImportError as e:
        return [Finding("torch loads", False, str(e), BUILD_COMMANDS, REINSTALL_BUILD, True)]
    engines = [engine for engine in torch.backends.quantized.supported_engines if engine != "none"]
    cuda = torch.cuda.is_available()
    bf16, amx = torch.cpu._is_avx512_bf16_supported(), torch.cpu._is_amx_tile_supported()
    device = torch.cuda.get_device_name() if cuda else "none: training runs on the CPU"
    return [
        Finding("qnnpack", "qnnpack" in engines, ", ".join(engines), "TorchScript artifacts", NO_QNNPACK),
        Finding("bf16", bf16, f"AVX-512 bf16: {_yes(bf16)}, AMX: {_yes(amx)}", "faster training on the CPU"),
        Finding("cuda", cuda, device, "faster training"),
    ]


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _tools() -> list[Finding]:
    return [_tool(name, command, purpose, remedy) for name, (command, purpose, remedy) in TOOLS.items()]


def _tool(name: str, command: list[str], purpose: str, remedy: str) -> Finding:
    if shutil.which(command[0]) is None:
        return Finding(name, False, "not on the path", purpose, remedy)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError) as e:
        return Finding(name, False, f"does not run: {type(e).__name__}", purpose, remedy)
    return Finding(name, True, (done.stdout or done.stderr).splitlines()[0], purpose, remedy)


def _web_runtime() -> Finding:
    purpose = "running web-onnx artifacts"
    try:
        return Finding("onnxruntime-web", True, f"in {find_modules()}", purpose)
    except MissingDependency:
        return Finding("onnxruntime-web", False, "not installed", purpose, INSTALL_PACKAGE)


def _arm64() -> list[Finding]:
    """What `edgepack validate --arch arm64` needs."""
    purpose = "validate --arch arm64"
    try:
        found = find_qemu(ARM64_QEMU)
    except MissingDependency:
        found = ""
    ready = is_ready(ROOT.expanduser())
    return [
        Finding("qemu-aarch64", bool(found), found or "not on the path", purpose, INSTALL_QEMU),
        Finding("ARM64 Python", ready, str(ROOT) if ready else f"not in {ROOT}", purpose, PREPARE),
    ]


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    detail = f"{free / 1e9:.1f} GB free in the current folder"
    remedy = f"free {DISK_NEEDED_BYTES / 1e9:.0f} GB, or give -o on another disk"
    return Finding("disk", free >= DISK_NEEDED_BYTES, detail, "workspaces", remedy)


def _memory() -> Finding:
    memory = psutil.virtual_memory().total
    detail = f"{memory / 1e9:.1f} GB, {os.cpu_count()} cores"
    return Finding("memory", memory >= MEMORY_NEEDED_BYTES, detail, "training", "use a machine with 4 GB or more")
