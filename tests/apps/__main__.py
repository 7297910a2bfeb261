"""Holds the apps to their bundles: `make test-apps`, with bundles that a build has made.

    python -m tests.apps BUNDLE... [--count 100000] [--require] [--screenshots DIR]

For each bundle the JavaScript and Kotlin tokenizers are compared with the reference on every golden and on fuzzed
strings, the Android app's own code runs an ONNX bundle's goldens on the JVM, and the web app is packaged and opened in
headless Chromium (web/browser.mjs) and Firefox (web/firefox.mjs). The Android template is compiled as far as it can be
here, and the iOS app's core is tested and its files are type-checked where there is Swift. What lacks a tool is
reported as not run, with the reason; with `--require` that is a failure. npm fetches what the browser tests and the web
app's runtime need, `python -m tests.apps.kotlin.toolchain` what Kotlin does, and `tests/apps/swift/install.sh` Swift.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgepack.bundle.goldens import GOLDEN_NAME
from edgepack.bundle.manifest import MANIFEST_NAME, load_manifest
from edgepack.package import AppOptions, package_bundle
from edgepack.package.template import checkout
from edgepack.tokenizer.asset import ASSET_NAME
from tests.apps.kotlin.checks import Checker
from tests.apps.kotlin.toolchain import ToolFailed, default_toolchain
from tests.apps.reference import write_reference
from tests.apps.swift import checks as swift

HERE = Path(__file__).parent
FIREFOX = "firefox-esr"
NPM_INSTALL = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]


def run(command: Sequence[str | Path], folder: Path | None = None, **environment: str) -> str:
    """What a command prints on stdout, also shown; ends this program where it fails."""
    words = [str(part) for part in command]
    done = subprocess.run(words, cwd=folder, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True)
    print(done.stdout, end="", flush=True)
    if done.returncode:
        sys.exit(f"failed: {' '.join(words)}")
    return done.stdout


def missing_tool(*names: str) -> str | None:
    """The first tool that is not on the path."""
    return next((f"{name} is not on the path" for name in names if shutil.which(name) is None), None)


def write_goldens(bundle: Path, count: int, folder: Path) -> None:
    """A folder with the bundle's tokenizer, manifest and goldens, and fuzzed strings with the reference's answers."""
    folder.mkdir()
    for name in (ASSET_NAME, MANIFEST_NAME, GOLDEN_NAME):
        shutil.copyfile(bundle / name, folder / name)
    write_reference(bundle, folder / "fuzz.jsonl", count, seed=0)


def check_javascript(goldens: Path) -> None:
    """Ids and offsets on goldens and fuzzed strings."""
    length = str(load_manifest(goldens).max_length)
    for name in (GOLDEN_NAME, "fuzz.jsonl"):
        out = run(["node", HERE / "javascript" / "compare.mjs", goldens / ASSET_NAME, length, goldens / name])
        assert json.loads(out.splitlines()[-1])["different"] == 0


def check_kotlin(bundle: Path, goldens: Path, work: Path) -> None:
    """The same in Kotlin, with the other tests of :core; then the goldens' logits, where the bundle is for ONNX."""
    work.mkdir(exist_ok=True)
    checker = Checker(default_toolchain(), checkout() / "android", work)
    try:
        for name in checker.runtime_names():
            checker.runtime(name)
        checker.app()
        print(checker.test_core([goldens]).strip(), flush=True)
        if load_manifest(bundle).runtime.name == "onnxruntime":
            print(checker.test_onnx([bundle]).strip(), flush=True)
    except ToolFailed as e:
        sys.exit(f"failed: the Android app's Kotlin: {e}")


def check_web(bundle: Path, work: Path, screenshots: Path | None) -> None:
    """The packaged page in Chromium, and in Firefox where that is; its runtime fetched as its README says."""
    programs = browser_programs(work)
    site, download = work / "site", work / "site-download"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    package_bundle(bundle, "web", site, AppOptions(examples=3), force=True)
    package_bundle(bundle, "web", download, AppOptions(download_url=f"http://localhost:{port}"), force=True)
    for folder in (site, download):
        put_runtime(folder, work / "vendor")
    shown = ["--screenshots", screenshots.resolve(), "--prefix", f"web-{bundle_name(bundle)}"] if screenshots else []
    command = ["node", programs / "browser.mjs", bundle.resolve(), site, "--download", download, *shown]
    run(command, MODEL_PORT=port, CHROMIUM=str(shutil.which("chromium")))
    if firefox := shutil.which(FIREFOX):
        run(["node", programs / "firefox.mjs", bundle.resolve(), site], FIREFOX=firefox)


def check_swift(goldens: Path, work: Path) -> None:
    """The app's files against stubs, once, and EdgepackCore's tests, on these goldens too."""
    if not work.exists():
        swift.check_app(work / "stubs", checkout() / "ios")
    out = swift.run_core_tests(work / "core", [goldens])
    print("\n".join(line for line in out.splitlines() if line.startswith("compared") or "Executed" in line), flush=True)


def browser_programs(work: Path) -> Path:
    """A copy of web/ with what it needs from npm."""
    programs = work / "browser"
    if not programs.exists():
        shutil.copytree(HERE / "web", programs, ignore=shutil.ignore_patterns("node_modules"))
        run(NPM_INSTALL, programs)
    return programs


def put_runtime(site: Path, kept: Path) -> None:
    """Fetch the site's runtime the documented way, once."""
    if not kept.exists():
        run(NPM_INSTALL, site)
        run(["npm", "run", "--silent", "vendor"], site)
        shutil.rmtree(site / "node_modules")
        shutil.copytree(site / "vendor", kept)
    shutil.copytree(kept, site / "vendor", dirs_exist_ok=True)


def bundle_name(bundle: Path) -> str:
    """A short name: that of the task's folder, out of …/NAME/bundles/TARGET or …/NAME/build/bundles/TARGET."""
    parts = [part for part in bundle.resolve().parts[:-1] if part not in ("bundles", "build")]
    return parts[-1]


def main(arguments: list[str]) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=100_000, help="fuzzed strings a bundle")
    parser.add_argument("--require", action="store_true", help="what cannot run is a failure")
    parser.add_argument("--screenshots", type=Path, help="folder for pictures of the web app")
    given = parser.parse_args(arguments)
    skipped: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for bundle in given.bundles:
            print(f"--- {bundle}", flush=True)
            goldens = work / f"goldens-{bundle_name(bundle)}"
            write_goldens(bundle, given.count, goldens)
            reason = missing_tool("node")
            skipped += [f"JavaScript tokenizer: {reason}"] if reason else []
            if not reason:
                check_javascript(goldens)
            reason = default_toolchain().missing()
            skipped += [f"Kotlin: {reason}"] if reason else []
            if not reason:
                check_kotlin(bundle, goldens, work / "kotlin")
            reason = swift.missing()
            skipped += [f"Swift: {reason}"] if reason else []
            if not reason:
                check_swift(goldens, work / "swift")
            shutil.rmtree(goldens)
            reason = missing_tool("node", "npm", "chromium")
            if load_manifest(bundle).runtime.name != "onnxruntime":
                continue
            skipped += [f"web app in Chromium: {reason}"] if reason else []
            if not reason:
                check_web(bundle, work, given.screenshots)
            reason = missing_tool(FIREFOX)
            skipped += [f"web app in Firefox: {reason}"] if reason else []
    for line in dict.fromkeys(skipped):
        print(f"not run: {line}")
    sys.exit(1 if skipped and given.require else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
