"""The command line: quick to start, right exit codes, results on stdout, one line for an error."""

from __future__ import annotations

import errno
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from edgepack import __version__
from edgepack import doctor as doctor_module
from edgepack.cli import main
from edgepack.doctor import Diagnosis, Finding
from edgepack.errors import CheckFailed, EdgepackError, InputError, MissingDependency
from edgepack.parameters import format_size, parse_disk, parse_share, parse_size
from edgepack.target import list_targets

COMMANDS = {
    *("build", "plan", "recipes", "finetune", "cut-vectors", "profile", "export", "validate", "bundle", "demo"),
    "sweep",
    *("predict", "gate", "compare", "sign", "bom", "package", "reduce-runtime", "inspect", "report"),
    *("targets", "doctor"),
}


def call(*arguments: str) -> Any:
    return CliRunner().invoke(main, list(arguments))


def test_the_commands_are_those_of_the_design() -> None:
    assert set(main.commands) == COMMANDS


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help(command: str) -> None:
    result = call(command, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")


LIGHT = (
    ["--help"],
    ["--version"],
    ["build", "--help"],
    ["targets", "--json"],
    ["recipes"],
)


@pytest.mark.parametrize("arguments", LIGHT)
def test_light_commands_load_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom edgepack.cli import main\n"
        f"main({arguments!r}, standalone_mode=False)\n"
        "heavy = {'torch', 'transformers', 'onnx', 'onnxruntime', 'datasets', 'scipy', 'pandas'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_version() -> None:
    assert call("--version").stdout == f"edgepack, version {__version__}\n"


def test_targets_lists_them_and_describes_one() -> None:
    listed = call("targets")
    assert listed.exit_code == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(list_targets())
    one = json.loads(call("targets", "android-onnx", "--json").stdout)
    assert (one["name"], one["runtime"]) == ("android-onnx", "onnxruntime")


def test_an_unknown_target_is_one_line_and_2() -> None:
    result = call("targets", "toaster")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(("kind", "code"), [(InputError, 2), (CheckFailed, 1), (MissingDependency, 3)])
def test_an_error_of_edgepack_is_one_line_and_its_code(
    monkeypatch: pytest.MonkeyPatch, kind: type[EdgepackError], code: int
) -> None:
    def fail() -> Diagnosis:
        raise kind("first\nsecond")

    monkeypatch.setattr(doctor_module, "examine", fail)
    result = call("doctor")
    assert result.exit_code == code
    assert result.stderr == "error: first second\n"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_line_and_3(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1_234_000))
    for error, where in (
        (OSError(number, "full", "out/model.onnx"), " for out/model.onnx"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), ""),  # safetensors
    ):
        monkeypatch.setattr(doctor_module, "examine", failing(error))
        result = call("doctor")
        assert result.exit_code == 3
        assert result.stderr == (
            f"error: no room left on the disk{where}, 1.2 MB free; make some, then give the same command again\n"
        )


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "out/\x1b[2J"), 2, r"out/\x1b[2J: Permission denied"),
        (OSError(errno.EROFS, "Read-only file system", "out"), 2, "out: Read-only file system"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 5_000), 2, "xxx: File name too long"),
        (
            NotADirectoryError(errno.ENOTDIR, "Not a directory", "a.txt/out"),
            2,
            "a.txt/out: Not a directory; give a place",
        ),
        (MemoryError(), 3, "edgepack doctor needs more memory than it may have"),
    ],
)
def test_what_the_system_refuses_is_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, said: str
) -> None:
    monkeypatch.setattr(doctor_module, "examine", failing(error))
    result = call("doctor")
    assert result.exit_code == code
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert len(result.stderr) < 400


def failing(error: Exception) -> Callable[[], Diagnosis]:
    def fail() -> Diagnosis:
        raise error

    return fail


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_module, "examine", lambda: [][1])
    assert isinstance(call("doctor").exception, IndexError)


def test_doctor_is_3_when_a_core_thing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    findings = (Finding("torch", False, "not installed", "training", "pip install torch", needed=True),)
    monkeypatch.setattr(doctor_module, "examine", lambda: Diagnosis(findings))
    result = call("doctor")
    assert result.exit_code == 3
    assert "torch: pip install torch" in result.stdout


def test_doctor_here() -> None:
    result = call("doctor", "--json")
    assert result.exit_code == 0
    diagnosis = json.loads(result.stdout)
    assert diagnosis["complete"]
    assert {"python", "torch", "qnnpack", "extra coreml", "node", "disk"} <= {f["name"] for f in diagnosis["findings"]}
    assert all(f["remedy"] for f in diagnosis["findings"] if f["needed"])


def test_build_passes_on_what_was_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    seen: list[Any] = []
    build_module = importlib.import_module("edgepack.build.flow")

    def record(request: Any, console: Any) -> Any:
        seen.append(request)
        return SimpleNamespace(passed=False, to_record=lambda: {"passed": False}, table=lambda: "table")

    monkeypatch.setattr(build_module, "build", record)
    result = call(
        "build", "-m", "t", "-d", "a.tsv", "--eval", "b.tsv", "-b", "4MiB", "-t", "android-onnx", "-t", "ios-onnx",
        "-o", str(tmp_path / "out"), "--max-drop", "1.5%", "--pair-column", "s2", "--seed", "7", "--effort", "max",
        "--json",
    )  # fmt: skip
    assert result.exit_code == 1, result.output
    assert json.loads(result.stdout) == {"passed": False}
    (request,) = seen
    assert request.budget_bytes == 4 * 2**20
    assert request.targets == ("android-onnx", "ios-onnx")
    assert request.output == tmp_path / "out"
    assert request.max_drop == 0.015
    assert request.columns.pair == "s2"
    assert (request.seed, request.effort, request.fresh) == (7, "max", False)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("4MB", 4_000_000),
        ("4MiB", 4_194_304),
        ("500kB", 500_000),
        ("1.5 MB", 1_500_000),
        ("12345", 12_345),
        ("2gib", 2**31),
    ],
)
def test_sizes(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "MB", "4XB", "-4MB", "4 4MB", "0", "nan", "1e6", "٤MB", "4MB/s", "4", "999B"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"4MB|did you mean"):
        parse_size(text)


@given(st.integers(1, 10**12), st.sampled_from(["kB", "MB", "GB", "KiB", "MiB", "GiB"]))
def test_a_size_scales_with_its_unit(number: int, unit: str) -> None:
    assert parse_size(f"{number}{unit}") == number * parse_size(f"1{unit}")


def test_a_number_that_lacks_its_unit_is_answered_with_it() -> None:
    with pytest.raises(ValueError, match=r"'8' is 8 bytes, too few for any teacher's outputs; did you mean 8GB\?"):
        parse_disk("8")
    assert parse_disk("2 GB") == 2 * 10**9
    with pytest.raises(ValueError, match=r"'4' is 4 bytes, less than any model has; did you mean 4MB\?"):
        parse_size("4")


def test_a_misspelt_target_is_refused_before_anything_is_imported() -> None:
    code = (
        "import sys\nfrom edgepack.cli import main\n"
        "try: main(['build', '-m', 't', '-d', 'd', '--eval', 'e', '-b', '4MB', '-t', 'andriod-onnx', '-o', 'o'])\n"
        "except SystemExit as e: print(e.code, 'torch' in sys.modules, 'transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "2 False False"
    assert "did you mean 'android-onnx'?" in done.stderr


@given(st.decimals(0, 99, places=3))
def test_percent_and_share_agree(percent: Decimal) -> None:
    assert parse_share(f"{percent:f}%") == pytest.approx(float(percent) / 100)
    assert parse_share(f"{percent / 100:f}") == parse_share(f"{percent:f}%")


@pytest.mark.parametrize("text", ["2", "100%", "-1%", "%", "two", "2 percent", ""])
def test_what_is_no_share(text: str) -> None:
    with pytest.raises(ValueError, match=r"2% or 0\.02"):
        parse_share(text)


def test_commands_are_thin() -> None:
    """Each command has a one-line help that ends as a sentence."""
    for name, command in main.commands.items():
        assert isinstance(command, click.Command)
        assert (command.help or "").strip().endswith("."), name


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1_000, "1.0 kB"), (2_500_000, "2.5 MB"), (4 * 10**9, "4.0 GB")],
)
def test_sizes_for_a_person(size: int, text: str) -> None:
    assert format_size(size) == text
