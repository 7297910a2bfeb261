"""Progress without a terminal: lines by a fake clock."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable

import pytest
from rich.console import Console as RichConsole

from edgepack.console import Console
from edgepack.console import progress as progress_module
from edgepack.console.progress import EVERY_SECONDS, Bars, Lines, Part, progress_line


class FakeTime:
    """A clock that `wait` moves; it does something at each beat and stops after the last."""

    def __init__(self, beats: list[Callable[[], None]]) -> None:
        self.now, self.beats, self.waited = 100.0, beats, list[float]()

    def clock(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        if not self.beats:
            return True
        self.waited.append(seconds)
        self.now += seconds
        self.beats.pop(0)()
        return False


@pytest.fixture(autouse=True)
def no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", lambda self: None)


def test_a_line_comes_at_least_every_minute() -> None:
    assert 0 < EVERY_SECONDS <= 60


def test_lines_have_step_rate_and_time_left() -> None:
    said: list[str] = []
    part = Part("distil", 1_000, before=100)

    def steps(count: int, figures: str = "") -> Callable[[], None]:
        def go() -> None:
            part.done += count
            part.figures = figures

        return go

    time = FakeTime([steps(0), steps(60), steps(60, "loss 0.25")])
    lines = Lines(said.append, time.clock)
    lines.begin(part)
    lines.beat(time)  # type: ignore[arg-type]
    part.done = 1_000
    time.now += 10
    lines.end(part)
    assert said == [
        "distil: 100 of 1,000, 30.0 s so far",
        "distil: 160 of 1,000, 1/s, 14 min 0 s left",
        "distil: 220 of 1,000, 1.33/s, 9 min 45 s left; loss 0.25",
        "distil: 1,000 of 1,000 in 1 min 40 s, 9/s",
    ]
    assert time.waited == [EVERY_SECONDS] * 3


def test_work_of_unknown_length_shows_life_and_ends_silently() -> None:
    said: list[str] = []
    time = FakeTime([lambda: None] * 4)
    lines = Lines(said.append, time.clock)
    part = Part("export android-onnx")
    lines.begin(part)
    lines.beat(time)  # type: ignore[arg-type]
    lines.end(part)
    assert said[-1] == "export android-onnx: 2 min 0 s so far"
    assert len(said) == 4


def test_the_innermost_part_is_shown() -> None:
    said: list[str] = []
    outer, inner = Part("stage"), Part("teacher", 10)
    time = FakeTime([lambda: lines.begin(inner), lambda: lines.end(inner)])
    lines = Lines(said.append, time.clock)
    lines.begin(outer)
    lines.beat(time)  # type: ignore[arg-type]
    assert [line.split(":")[0] for line in said] == ["teacher", "teacher", "stage"]


def test_a_console_without_a_terminal_says_lines_and_a_quiet_one_none(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet in (False, True):
        console = Console(quiet)
        with console.working("stage"), console.progress("train", 4, 1) as advance:
            advance(3, loss=0.5)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("train: 4 of 4 in ")
    assert err.count("\n") == 1


def test_the_thread_beats_until_the_last_part_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(progress_module, "EVERY_SECONDS", 0.01)
    heard = threading.Event()
    lines = Lines(lambda line: heard.set())
    part = Part("validate", 5)
    lines.begin(part)
    assert heard.wait(10)
    lines.end(part)
    threads = [thread for thread in threading.enumerate() if thread.name == "edgepack-progress"]
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)


def test_no_line_divides_by_nothing() -> None:
    part = Part("x", 0)
    assert progress_line(part, 0.0) == "x: 0 of 0, less than 0.1 s so far"


def test_bars_of_parts_inside_each_other() -> None:
    screen = io.StringIO()
    bars = Bars(RichConsole(file=screen, force_terminal=True, width=120, color_system=None))
    outer, inner = Part("stage"), Part("teacher", 10)
    bars.begin(outer)
    bars.begin(inner)
    inner.done, inner.figures = 10, "loss 0.5"
    bars.update(inner)
    bars.end(inner)
    bars.end(outer)
    last = screen.getvalue().rsplit("\x1b[2K", 1)[-1]
    assert "teacher" in last
    assert "10/10" in last
    assert "loss 0.5" in last
    assert "stage" not in last
    again = Part("again", 1)  # a display that was closed opens anew
    bars.begin(again)
    bars.end(again)
    assert "again" in screen.getvalue()
