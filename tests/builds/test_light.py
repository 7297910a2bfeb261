"""A light installation: what trains nothing works without torch, transformers and their kin; the rest says one line.

The packages are made unimportable in a process of their own, which is what a light installation is to our code.
`.ci/run` installs a real one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edgepack.machine.extras import BUILD_PACKAGES, IMPORTED_AS, INSTALL_BUILD
from tests.builds.tiny import Files

ABSENT = {*BUILD_PACKAGES, *IMPORTED_AS, "scipy"}
WITHOUT = f"""
import importlib.metadata, sys
absent = {ABSENT!r}
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
version = importlib.metadata.version
def installed(name):
    if name in absent:
        raise importlib.metadata.PackageNotFoundError(name)
    return version(name)
importlib.metadata.version = installed
from edgepack.cli import main
main(sys.argv[1:], prog_name="edgepack")
"""


def light(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command where the packages of the extra `build` are absent."""
    command = [sys.executable, "-c", WITHOUT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def field(number: int, content: bytes) -> bytes:
    """A protobuf field of bytes, shorter than 128."""
    return bytes([number << 3 | 2, len(content)]) + content


@pytest.fixture(scope="module")
def app(unbroken: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An .aab with the build's ONNX bundle in its assets and a manifest of one permission."""
    permission = field(4, field(2, b"name") + field(3, b"android.permission.INTERNET"))
    element = field(1, field(3, b"uses-permission") + permission)
    bundle, path = unbroken / "bundles/android-onnx", tmp_path_factory.mktemp("app") / "app.aab"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("BundleConfig.pb", b"")
        archive.writestr("base/manifest/AndroidManifest.xml", field(1, field(3, b"manifest") + field(5, element)))
        for file in (file for file in bundle.rglob("*") if file.is_file()):
            archive.write(file, f"base/assets/edgepack/{file.relative_to(bundle).as_posix()}")
    return path


def test_the_gate_runs_the_model(unbroken: Path, files: Files) -> None:
    done = light("gate", unbroken / "bundles/android-onnx", "--eval", files.evaluation, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    (bundle,) = json.loads(done.stdout)["bundles"]
    statuses = {check["name"]: check["status"] for check in bundle["checks"]}
    assert statuses["goldens"] == statuses["metric"] == "passed"


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_the_gate_reads_plain_files(unbroken: Path, files: Files, tmp_path: Path, kind: str) -> None:
    rows = [line.split("\t") for line in Path(files.evaluation).read_text().splitlines()][1:]
    path = tmp_path / f"eval.{kind}"
    lines = [f"{text},{label}" for text, label in rows]
    objects = [json.dumps({"text": text, "label": label}) for text, label in rows]
    path.write_text("\n".join(["text,label", *lines] if kind == "csv" else objects) + "\n")
    done = light("gate", unbroken / "bundles/android-onnx", "--eval", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_releases_are_compared(unbroken: Path, files: Files) -> None:
    bundle = unbroken / "bundles/android-onnx"
    done = light("compare", bundle, bundle, "--eval", files.evaluation, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["metric"]["discordant"] == 0


def test_a_data_set_is_answered(unbroken: Path, files: Files) -> None:
    done = light("predict", unbroken / "bundles/android-onnx", "--data", files.evaluation, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["metric"]["name"] == "accuracy"


def test_a_teacher_to_compare_with_needs_more_and_says_so(unbroken: Path, files: Files) -> None:
    options = ("--data", files.evaluation, "--compare-teacher", files.teacher)
    done = light("predict", unbroken / "bundles/android-onnx", *options)
    assert done.returncode == 3
    assert done.stderr == (
        f"error: predict's --compare-teacher needs torch, which is not installed; run: {INSTALL_BUILD}\n"
    )


def test_from_python_what_needs_more_says_so(unbroken: Path, files: Files) -> None:
    code = WITHOUT[: WITHOUT.index("from edgepack.cli")] + (
        "import edgepack\n"
        f"print(edgepack.gate_bundles({str(unbroken / 'bundles/android-onnx')!r}, quiet=True).passed)\n"
        "try: edgepack.plan_student\n"
        "except edgepack.MissingDependency as e: print(e)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    passed, said = done.stdout.splitlines()
    assert passed == "True", done.stderr
    assert said.startswith("edgepack.plan_student needs ")
    assert said.endswith(f", which is not installed; run: {INSTALL_BUILD}")


def test_a_teacher_needs_more_and_says_so(unbroken: Path, files: Files) -> None:
    bundle = unbroken / "bundles/android-onnx"
    done = light("gate", bundle, "--eval", files.evaluation, "--teacher", files.teacher)
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert INSTALL_BUILD in line


@pytest.mark.parametrize("source", ["eval.parquet", "someone/data"])
def test_data_that_needs_more_says_so(unbroken: Path, tmp_path: Path, source: str) -> None:
    path = str(tmp_path / source) if source.endswith("parquet") else source
    if source.endswith("parquet"):
        Path(path).write_bytes(b"PAR1")
    done = light("gate", unbroken / "bundles/android-onnx", "--eval", path)
    (line,) = (line for line in done.stdout.splitlines() if line.split()[:1] == ["metric"])
    assert done.returncode == 1
    assert "not run" in line
    assert INSTALL_BUILD in line


def test_a_bundle_that_torch_runs_was_not_run(unbroken: Path) -> None:
    done = light("gate", unbroken / "bundles/android-torchscript")
    assert done.returncode == 1
    assert f"running android-torchscript artifacts needs torch, which is not installed; run: {INSTALL_BUILD}" in (
        done.stdout
    )


def test_an_app_is_inspected(unbroken: Path, app: Path) -> None:
    done = light("inspect", app, "--bundle", unbroken / "bundles/android-onnx", "--json")
    checks = {check["name"]: check["status"] for check in json.loads(done.stdout)["checks"]}
    assert (checks["bundle"], checks["model"], checks["permissions"]) == ("passed", "passed", "failed"), done.stderr


@pytest.mark.parametrize("kind", ["android", "ios", "web"])
def test_apps_are_packaged(unbroken: Path, tmp_path: Path, kind: str) -> None:
    done = light("package", unbroken / "bundles/android-onnx", "--app", kind, "-o", tmp_path / "app")
    assert done.returncode == 0, done.stderr


def test_a_build_is_reported(unbroken: Path) -> None:
    done = light("report", unbroken)
    assert done.returncode == 0, done.stderr
    assert "retention" in (unbroken / "report.md").read_text()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["targets"], ["targets", "android-onnx"]])
def test_what_needs_no_build(arguments: list[str]) -> None:
    assert light(*arguments).returncode == 0


def test_the_doctor_says_what_works_and_the_line_for_the_rest() -> None:
    done = light("doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(
        "These commands work here: predict, gate, compare, sign, bom, package, inspect, report, targets, doctor.\n"
    )
    assert INSTALL_BUILD in done.stdout
    diagnosis = json.loads(light("doctor", "--json").stdout)
    assert (diagnosis["complete"], diagnosis["can_build"]) == (True, False)


COMMANDS: dict[str, Callable[[Files, Path, Path], list[str]]] = {
    "build": lambda files, _, new: [*asked(files), "-o", str(new)],
    "plan": lambda files, _, new: asked(files),
    "finetune": lambda files, _, new: ["-m", "base", "-d", files.train, "--eval", files.evaluation, "-o", str(new)],
    "export": lambda _, build, new: [str(build / "student"), "-t", "android-onnx", "-o", str(new)],
    "validate": lambda _, build, new: [str(build)],
    "bundle": lambda _, build, new: [str(build)],
    "demo": lambda _, build, new: ["-o", str(new)],
}


def asked(files: Files) -> list[str]:
    return ["-m", files.teacher, "-d", files.train, "--eval", files.evaluation, "-b", "60kB", "-t", "android-onnx"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_needs_more_is_one_line_and_3(
    command: str, files: Files, unbroken: Path, tmp_path: Path
) -> None:
    done = light(command, *COMMANDS[command](files, unbroken, tmp_path / "new"))
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: edgepack {command} needs ")
    assert done.stderr.endswith(f", which is not installed; run: {INSTALL_BUILD}\n")
    assert done.stderr.count("\n") == 1
    assert not os.path.exists(tmp_path / "new")


def test_a_package_that_no_extra_brings_is_a_defect() -> None:
    code = WITHOUT.replace("from edgepack.cli", "absent.add('rich')\nfrom edgepack.cli")
    done = subprocess.run([sys.executable, "-c", code, "doctor"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
