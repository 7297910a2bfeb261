"""Ctrl-C and the signals that end a command: one line, the exit code of shells, what was ignored stays ignored."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgepack import doctor as doctor_module
from edgepack.cli import main
from edgepack.cli.interruption import ENDING
from edgepack.doctor import Diagnosis


def sent(number: int, cleared: list[str]) -> Diagnosis:
    """What a command does that gets a signal while it holds something."""
    try:
        os.kill(os.getpid(), number)
        time.sleep(10)
    finally:
        cleared.append("cleared")
    raise AssertionError("the signal did not arrive")


@pytest.mark.parametrize("number", [signal.SIGINT, *ENDING])
def test_a_signal_is_one_line_and_its_code(monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    cleared: list[str] = []
    monkeypatch.setattr(doctor_module, "examine", lambda: sent(number, cleared))
    handlers = {signal.SIGINT: signal.default_int_handler, **dict.fromkeys(ENDING, signal.SIG_DFL)}
    inherited = {each: signal.signal(each, handlers[each]) for each in handlers}  # of a shell's background job ignored
    try:
        expect_one_line(number, cleared)
    finally:
        for each, handler in inherited.items():
            signal.signal(each, handler)


def expect_one_line(number: signal.Signals, cleared: list[str]) -> None:
    before = [signal.getsignal(each) for each in ENDING]
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 128 + number
    assert result.stderr.count("\n") == 1
    assert f"error: interrupted by {number.name}" in result.stderr
    assert cleared == ["cleared"]
    assert [signal.getsignal(each) for each in ENDING] == before


def test_a_signal_that_the_caller_ignores_stays_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def hang_up() -> Diagnosis:
        os.kill(os.getpid(), signal.SIGHUP)
        (tmp_path / "went on").touch()
        return Diagnosis(())

    monkeypatch.setattr(doctor_module, "examine", hang_up)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        CliRunner().invoke(main, ["doctor"])
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (tmp_path / "went on").exists()
