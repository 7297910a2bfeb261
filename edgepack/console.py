"""Readable output: messages, warnings and progress bars on stderr; tables as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec

from rich.console import Console as RichConsole
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Task as RichTask
from rich.text import Text

Advance = Callable[..., None]


class RateColumn(TextColumn):
    """Steps per second."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: RichTask) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "")


class Console:
    """What commands say to a person. `quiet` leaves warnings only."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self._rich = RichConsole(stderr=True, highlight=False, soft_wrap=True)

    def info(self, message: str) -> None:
        """Say something that a watcher wants to know."""
        if not self.quiet:
            self._rich.print(message, markup=False)

    def warn(self, message: str) -> None:
        """Say something that a user should act upon; not silenced by `quiet`."""
        self._rich.print(f"warning: {message}", style="yellow", markup=False)

    @contextmanager
    def progress(self, description: str, total: int, completed: int = 0) -> Iterator[Advance]:
        """Yield `advance(steps, **figures)`; the figures are shown behind the bar."""
        if not self.quiet and not can_redraw(self._rich):
            self.info(f"{description}: {total:,} steps")
            yield lambda steps=1, **figures: None
            return
        columns = (
            TextColumn("{task.description:<12}"),
            BarColumn(),
            MofNCompleteColumn(),
            RateColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
        )
        with Progress(*columns, console=self._rich, disable=self.quiet, transient=False) as bar:
            task = bar.add_task(description, total=total, completed=completed, figures="")

            def advance(steps: int = 1, **figures: float) -> None:
                shown = " ".join(f"{name} {value:.4g}" for name, value in figures.items())
                bar.update(task, advance=steps, figures=shown or bar.tasks[0].fields["figures"])

            yield advance


def can_redraw(rich: RichConsole) -> bool:
    """Whether a bar can be drawn again and again: notebooks do that with ipywidgets, and only warn without."""
    return not rich.is_jupyter or find_spec("ipywidgets") is not None


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Left-aligned columns, two spaces apart."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)
