"""What a person sees of a command: messages, progress, colours, logs. What its result is belongs to `cli`.

Messages and progress go to stderr and, through the logger `edgepack`, to whatever log there is.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from edgepack.console.colour import wants_colour
from edgepack.console.log import SAID
from edgepack.errors import printable

if TYPE_CHECKING:
    from edgepack.console.progress import Display, Part

Advance = Callable[..., None]
LOG = logging.getLogger("edgepack")
LOG.addHandler(logging.NullHandler())  # who imports edgepack decides where its records go


class Console:
    """What commands say to a person. `quiet` leaves warnings only."""

    def __init__(self, quiet: bool = False) -> None:
        from rich.console import Console as RichConsole  # here: the command line's help needs none of it

        from edgepack.console.progress import Bars, Lines

        self.quiet = quiet
        # colours and bars are two questions: CI systems ask for the first, and cannot show the second
        terminal = sys.stderr.isatty()
        colours: Literal["auto", "standard"] = "auto" if terminal else "standard"
        self._rich = RichConsole(
            stderr=True,
            highlight=False,
            soft_wrap=True,
            force_terminal=terminal or None,
            color_system=colours if wants_colour(sys.stderr) else None,
        )
        live = can_redraw_in_notebook() if self._rich.is_jupyter else terminal and not self._rich.is_dumb_terminal
        self._display: Display = Bars(self._rich) if live else Lines(self.info)

    def info(self, message: str) -> None:
        """Say something that a watcher wants to know."""
        message = _shown_lines(message)
        LOG.info(message, extra=SAID, stacklevel=2)
        if not self.quiet:
            self._rich.print(message, markup=False)

    def warn(self, message: str) -> None:
        """Say something that a user should act upon; not silenced by `quiet`."""
        message = _shown_lines(message)
        LOG.warning(message, extra=SAID, stacklevel=2)
        self._rich.print(f"warning: {message}", style="yellow", markup=False)

    @contextmanager
    def progress(self, description: str, total: int, completed: int = 0) -> Iterator[Advance]:
        """Yield `advance(steps, **figures)`; the figures are shown behind the bar, or at the end of a line."""
        with self._shown(description, total, completed) as part:

            def advance(steps: int = 1, **figures: float) -> None:
                part.done += steps
                if figures:
                    part.figures = " ".join(f"{name} {value:.4g}" for name, value in figures.items())
                if not self.quiet:
                    self._display.update(part)

            yield advance

    @contextmanager
    def working(self, description: str) -> Iterator[None]:
        """Show that something goes on of which nobody knows how long it takes; what it shows itself has precedence."""
        with self._shown(description):
            yield

    @contextmanager
    def _shown(self, name: str, total: int | None = None, before: int = 0) -> Iterator[Part]:
        from edgepack.console.progress import Part

        part = Part(name, total, before)
        if self.quiet:
            yield part
            return
        self._display.begin(part)
        try:
            yield part
        finally:
            self._display.end(part)


def can_redraw_in_notebook() -> bool:
    """Whether a bar can be drawn again and again there: notebooks do that with ipywidgets, and only warn without."""
    return find_spec("ipywidgets") is not None


def _shown_lines(message: str) -> str:
    """A message whose lines hold nothing that a terminal would act upon."""
    return "\n".join(map(printable, message.split("\n")))


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Left-aligned columns, two spaces apart; no cell adds a line or moves a terminal's cursor."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)
