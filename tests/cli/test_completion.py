"""What a shell completes, with no file read and nothing heavy imported."""

from __future__ import annotations

import pytest
from click.shell_completion import ShellComplete

from edgepack.cli import main
from edgepack.target import list_targets


@pytest.mark.parametrize(
    "before", [["build", "-t"], ["plan", "--config", "nowhere.toml", "--target"], ["export", "x", "-t"]]
)
def test_targets_are_completed(before: list[str]) -> None:
    found = ShellComplete(main, {}, "edgepack", "_EDGEPACK_COMPLETE").get_completions(before, "ios-")
    assert [item.value for item in found] == [name for name in list_targets() if name.startswith("ios-")]


@pytest.mark.parametrize("before", [["build"], ["build", "-d", "a.tsv", "-d", "b.tsv"]])
def test_options_are_completed_and_the_old_name_is_not(before: list[str]) -> None:
    found = ShellComplete(main, {}, "edgepack", "_EDGEPACK_COMPLETE").get_completions(before, "--")
    names = {item.value for item in found}
    assert {"--config", "--raw-text", "--log-file"} <= names
    assert "--text" not in names
