"""How far long work is: bars on a terminal, elsewhere a line now and then.

A part of the work has a name, and a number of steps where that is known. Parts may lie inside each other (a stage, the
teacher's answers in it): the innermost is shown. Where stderr is no terminal (a CI job, `nohup`), a thread of its own
says a line every `EVERY_SECONDS`, so that a log shows life also while one step takes minutes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console as RichConsole
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Task as RichTask
from rich.text import Text

from edgepack.parameters import format_duration

EVERY_SECONDS = 30.0  # CI systems end jobs that are silent for minutes; nobody waits for a minute at a dead terminal


@dataclass(eq=False)
class Part:
    """Work that is going on; `total` None: nobody knows how many steps. `before`: steps done in an earlier run."""

    name: str
    total: int | None = None
    before: int = 0
    figures: str = ""
    started: float = 0.0

    def __post_init__(self) -> None:
        self.done = self.before


class Display(Protocol):
    """Where progress is shown."""

    def begin(self, part: Part) -> None: ...

    def update(self, part: Part) -> None: ...

    def end(self, part: Part) -> None: ...


class RateColumn(TextColumn):
    """Steps per second."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: RichTask) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "")


class CountColumn(MofNCompleteColumn):
    """Steps done, of how many; nothing where that is not known."""

    def render(self, task: RichTask) -> Text:
        return Text("") if task.total is None else super().render(task)


class Bars:
    """A bar for each part, on a terminal."""

    def __init__(self, console: RichConsole) -> None:
        self._console = console
        self._bar: Progress | None = None
        self._tasks: list[tuple[Part, TaskID]] = []

    def begin(self, part: Part) -> None:
        """Draw the part's bar, and hide those around it that have no steps."""
        if self._bar is None:
            self._bar = self._open()
            self._bar.start()
        for other, task in self._tasks:
            self._bar.update(task, visible=other.total is not None)
        task = self._bar.add_task(part.name, total=part.total, completed=part.before, figures="")
        self._tasks.append((part, task))

    def update(self, part: Part) -> None:
        """Draw how far the part is."""
        if self._bar is not None:
            task = next(task for other, task in self._tasks if other is part)
            self._bar.update(task, completed=part.done, figures=part.figures)

    def end(self, part: Part) -> None:
        """Leave the bar as it is; one without steps goes."""
        if self._bar is None:
            return
        task = next(task for other, task in self._tasks if other is part)
        self._tasks = [(other, own) for other, own in self._tasks if other is not part]
        self._bar.stop_task(task)
        if part.total is None:
            self._bar.remove_task(task)
        if self._tasks:
            self._bar.update(self._tasks[-1][1], visible=True)
            return
        self._bar.stop()
        self._bar = None

    def _open(self) -> Progress:
        return Progress(
            TextColumn("{task.description:<12}"),
            BarColumn(),
            CountColumn(),
            RateColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=self._console,
            transient=False,
        )


class Lines:
    """A line about the innermost part every `EVERY_SECONDS`, and one when a part with steps is over."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._parts: list[Part] = []
        self._stop = threading.Event()

    def begin(self, part: Part) -> None:
        """From now on the part is the innermost."""
        part.started = self._clock()
        self._parts.append(part)
        if len(self._parts) == 1:
            self._stop = threading.Event()
            threading.Thread(target=self.beat, args=(self._stop,), daemon=True, name="edgepack-progress").start()

    def update(self, part: Part) -> None:
        """Nothing: the thread reads the part."""

    def end(self, part: Part) -> None:
        """Say that the part is over."""
        self._parts.remove(part)
        if not self._parts:
            self._stop.set()
        if part.total is not None:
            seconds = self._clock() - part.started
            self._say(
                f"{part.name}: {part.done:,} of {part.total:,} in {format_duration(seconds)}{_rate(part, seconds)}"
            )

    def beat(self, stop: threading.Event) -> None:
        """Say how far the work is, again and again until `stop` is set."""
        while not stop.wait(EVERY_SECONDS):
            parts = self._parts[-1:]  # of a list that another thread may shorten
            for part in parts:
                self._say(progress_line(part, self._clock() - part.started))


def progress_line(part: Part, seconds: float) -> str:
    """How far a part is after `seconds`: `distil: 1,200 of 6,250, 3.4/s, 24 min 45 s left; loss 0.2312`."""
    if part.total is None:
        return f"{part.name}: {format_duration(seconds)} so far"
    made = part.done - part.before
    text = f"{part.name}: {part.done:,} of {part.total:,}{_rate(part, seconds)}"
    if made and seconds > 0:
        text += f", {format_duration((part.total - part.done) * seconds / made)} left"
    else:
        text += f", {format_duration(seconds)} so far"
    return f"{text}; {part.figures}" if part.figures else text


def _rate(part: Part, seconds: float) -> str:
    made = part.done - part.before
    return f", {made / seconds:.3g}/s" if made and seconds > 0 else ""
