"""What Python callers are told: options by their keywords, commands as they are."""

from __future__ import annotations

import pytest

from edgepack.errors import InputError, OutOfMemory
from edgepack.machine.extras import one_line_errors, with_keywords


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("pass --allow-untrained to go on", "pass allow_untrained to go on"),
        ("--search does not go with --student-tokenizer", "search does not go with student_tokenizer"),
        ("give -o on another disk, or --disk-budget 9kB", "give output on another disk, or disk_budget 9kB"),
        (
            "`edgepack profile -t x --quick` measures; give --eval",
            "`edgepack profile -t x --quick` measures; give eval",
        ),
        ("run: pip install --force-reinstall edgepack", "run: pip install --force-reinstall edgepack"),
        ("distil-o and a --- line, e-t", "distil-o and a --- line, e-t"),
    ],
)
def test_options_have_their_keywords(said: str, told: str) -> None:
    assert with_keywords(said) == told


def test_an_error_keeps_its_kind_and_cause() -> None:
    @one_line_errors("a call")
    def call(error: Exception) -> None:
        raise error from KeyError("cause")

    with pytest.raises(InputError, match=r"^give eval$") as raised:
        call(InputError("give --eval"))
    assert isinstance(raised.value.__cause__, KeyError)
    with pytest.raises(OutOfMemory, match=r"^a call needs more memory"):
        call(MemoryError())
    with pytest.raises(ZeroDivisionError, match="--x"):
        call(ZeroDivisionError("--xy"))
