"""An option with one value, given twice: which is meant is not known."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from edgepack.cli import main


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["build", "-d", "a.tsv", "-m", "m", "-d", "b.tsv"], "--data is given 2 times"),
        (["gate", "bundle", "--policy", "a.toml", "--policy", "a.toml"], "--policy is given 2 times"),
        (["build", "--raw-text", "a.txt", "--raw-text", "b.txt"], "--raw-text is given 2 times"),
    ],
)
def test_an_option_with_one_value_is_refused_when_given_twice(words: list[str], said: str) -> None:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert result.output == f"error: {said}; it has one value, give it once\n"


@pytest.mark.parametrize(
    "words",
    [
        ["targets", "--json", "--json"],
        ["recipes", "-h"],
    ],
)
def test_flags_may_be_repeated(words: list[str]) -> None:
    assert CliRunner().invoke(main, words).exit_code == 0


def test_targets_may_be_several() -> None:
    result = CliRunner().invoke(main, ["build", "-t", "android-onnx", "-t", "android-torchscript"])
    assert "Missing option" in result.output
    assert result.exit_code == 2
