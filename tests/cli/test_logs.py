"""`-v` and `--log-file` on every command: what is in the file, also when a command fails."""

from __future__ import annotations

import logging
import re
import warnings
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from edgepack import __version__
from edgepack import doctor as doctor_module
from edgepack.cli import main
from edgepack.console import Console
from tests.cli.test_help import commands

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} (DEBUG|INFO|WARNING|ERROR) +([\w.]+): (.*)")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "edgepack.log"


def call(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def doctor_does(monkeypatch: pytest.MonkeyPatch, work: Any) -> None:
    """Have `edgepack doctor` do something else."""
    examine = doctor_module.examine

    def instead() -> Any:
        work()
        return examine()

    monkeypatch.setattr(doctor_module, "examine", instead)


def test_every_command_has_both() -> None:
    for name, command in commands():
        options = {opt for p in command.params if isinstance(p, click.Option) for opt in p.opts}
        assert {"-v", "--log-file"} <= options, name


def test_the_file_begins_with_version_and_command(log: Path) -> None:
    assert call("targets", "android-onnx", "--json", "--log-file", str(log)).exit_code == 0
    first, second, *_, last = log.read_text().splitlines()
    assert f"edgepack {__version__}, Python 3." in first
    assert second.endswith(f"command: edgepack targets android-onnx --json --log-file {log}")
    assert "ended after " in last
    assert all(LINE.fullmatch(line) for line in (first, second, last))


def test_messages_warnings_of_libraries_and_rooms_are_in_it(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def speak() -> None:
        console = Console()
        console.info("an info")
        console.warn("a warning")
        warnings.warn("a library's warning", UserWarning, stacklevel=1)
        logging.getLogger("transformers.models").warning("a library's record")
        logging.getLogger("some.library").warning("another's record")

    doctor_does(monkeypatch, speak)
    result = call("doctor", "--log-file", str(log))
    text = log.read_text()
    for level, said in (("INFO", "an info"), ("WARNING", "a warning"), ("WARNING", "another's record")):
        (line,) = [line for line in text.splitlines() if line.endswith(said)]
        assert f" {level} " in line
    assert text.count("a library's warning") == 1 + text.count('warnings.warn("a library')  # the line that warns
    assert text.count("a library's record") == 1
    assert " transformers: a library's record" in text
    assert "a library's" not in result.stderr
    assert result.stderr == "an info\nwarning: a warning\n"


def test_a_record_has_the_room_that_it_is_from(log: Path, tmp_path: Path) -> None:
    call("gate", str(tmp_path), "--log-file", str(log))
    found = [LINE.fullmatch(line) for line in log.read_text().splitlines()]
    rooms = [match[2] for match in found if match and match[1] == "ERROR"]
    assert rooms == ["cli"]


def test_errors_and_their_exit_code_are_in_it(log: Path) -> None:
    assert call("targets", "toaster", "--log-file", str(log)).exit_code == 2
    assert call("predict", "nowhere", "text", "--log-file", str(log)).exit_code == 2
    text = log.read_text()
    assert "unknown target 'toaster'" in text
    assert "'nowhere' does not exist; give a folder" in text
    assert "exit code 2" in text


def test_a_defect_is_one_line_here_and_a_traceback_there(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise IndexError("out of range")

    doctor_does(monkeypatch, fail)
    result = call("doctor", "--log-file", str(log))
    assert result.exit_code == 1
    assert result.stderr == f"error: a defect of edgepack (IndexError), whose traceback is in {log}; please report it\n"
    text = log.read_text()
    assert "Traceback (most recent call last)" in text
    assert "IndexError: out of range" in text
    assert "in fail" in text


def test_a_log_that_cannot_be_written_is_said_first(tmp_path: Path) -> None:
    result = call("targets", "--log-file", str(tmp_path / "nowhere" / "a.log"))
    assert result.exit_code == 2
    assert "is no folder that can be written to" in result.stderr
    assert result.stdout == ""


def test_two_commands_append_and_leave_nothing_behind(log: Path) -> None:
    handlers = list(logging.getLogger().handlers)
    for _ in range(2):
        call("targets", "--log-file", str(log), "-v")
    assert log.read_text().count("command: edgepack targets") == 2
    assert logging.getLogger().handlers == handlers
    assert logging.getLogger("edgepack").level == logging.NOTSET
    assert len(logging.getLogger("edgepack").handlers) == 1


def test_verbose_shows_debug_lines_and_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    def speak() -> None:
        logging.getLogger("edgepack.build.flow").debug("a step")
        logging.getLogger("some.library").debug("not edgepack's")
        Console().info("an info")

    doctor_does(monkeypatch, speak)
    assert call("doctor", "-v").stderr == "debug: edgepack: a step\nan info\n"
    assert call("doctor").stderr == "an info\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has this device")
def test_a_log_on_a_full_disk_is_one_warning(capfd: pytest.CaptureFixture[str]) -> None:
    assert call("targets", "--json").exit_code == 0
    result = call("targets", "--json", "--log-file", "/dev/full")
    said = result.stderr + capfd.readouterr().err
    assert result.exit_code == 0
    assert said.count("/dev/full cannot be written") == 1
    assert "Traceback" not in said
