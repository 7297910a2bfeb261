"""Colours of statuses: where they are wanted, and which words get them."""

from __future__ import annotations

import io
import json
import re

import click
import pytest
from click.testing import CliRunner

from edgepack.cli import main
from edgepack.console import Console
from edgepack.console.colour import coloured, wants_colour

ESCAPE = "\x1b["


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("terminal", "environment", "wanted"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"CLICOLOR": "0"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"CLICOLOR_FORCE": "1"}, True),
        (False, {"FORCE_COLOR": "0"}, False),
        (False, {"CLICOLOR": "1"}, False),
        (True, {"CLICOLOR": "0", "FORCE_COLOR": "1"}, True),
        (True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
)
def test_where_colours_are_wanted(terminal: bool, environment: dict[str, str], wanted: bool) -> None:
    assert wants_colour(Terminal() if terminal else io.StringIO(), environment) is wanted


@pytest.mark.parametrize(
    ("line", "painted"),
    [
        ("android-onnx  94,000  0.91  passed", "passed"),
        ("android-onnx  94,000  0.91  failed: size; undecided: retention", "failed undecided"),
        ("FAILED  out/bundles/passed", "FAILED"),
        ("  metric    undecided too few examples", "undecided"),
        ("  goldens   not run   (waived) nobody is here", "not run"),
        ("MISSING  torch  not installed", "MISSING"),
        ("the gate passed, and failed to be green", ""),
        ("failed-over  1", ""),
    ],
)
def test_which_words_are_painted(line: str, painted: str) -> None:
    text = coloured(line)
    assert (
        " ".join(re.findall(r"\x1b\[\d+m([\w ]+)\x1b", text.replace("\x1b[1m", "").replace("\x1b[22m", ""))) == painted
    )
    assert click.unstyle(text) == line


def test_results_have_colours_only_where_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    assert ESCAPE not in CliRunner().invoke(main, ["doctor"]).stdout
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert ESCAPE in CliRunner().invoke(main, ["doctor"]).stdout
    as_json = CliRunner().invoke(main, ["doctor", "--json"]).stdout
    assert ESCAPE not in as_json
    assert json.loads(as_json)


def test_a_forced_colour_draws_no_bars(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    console = Console()
    console.warn("look")
    with console.progress("train", 2) as advance:
        advance(2)
    err = capsys.readouterr().err
    assert "\x1b[33mwarning: look\x1b[0m\n" in err
    assert "train: 2 of 2 in " in err
