"""What a name in a message or a table cannot do: add a line, or be acted upon by a terminal."""

from __future__ import annotations

import pytest

from edgepack.console import Console, format_table

FORGED = "a\nPASSED  \x1b[2J\u202eb\udcff"


@pytest.mark.parametrize("say", [Console.info, Console.warn], ids=["info", "warn"])
def test_a_message_keeps_its_lines_and_shows_what_a_terminal_would_act_upon(
    say: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(say)
    say(Console(), "first \x1b[2J\u202e\udcff[bold]\nsecond\r")
    assert capsys.readouterr().err.removeprefix("warning: ") == "first \\x1b[2J\\u202e\\udcff[bold]\nsecond\\r\n"


def test_a_cell_of_a_table_is_one_line() -> None:
    first, second = format_table([["name", "value"], [FORGED, "1"]]).split("\n")
    assert second == r"a\nPASSED  \x1b[2J\u202eb\udcff  1"
    assert first.index("value") == second.index("1", 20)
