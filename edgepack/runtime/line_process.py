"""A runtime in a process of its own, which answers one line of JSON for each line that it gets and ends when its stdin
does. What it prints besides goes to stderr."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any
from weakref import finalize

from edgepack.errors import InputError, bare


class LineProcess:
    """The process `command` for the model at `path`. `program` is what runs, `runtime` what the model runs in.

    Its stderr is this process's own, or with `held` a file, of which a failure quotes the line that says why.
    """

    def __init__(self, command: Sequence[str], path: Path, program: str, runtime: str, held: bool = False) -> None:
        self._path, self._program, self._runtime = path, program, runtime
        self._stderr: IO[str] | None = tempfile.TemporaryFile("w+", errors="replace") if held else None  # noqa: SIM115
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            encoding="utf-8",
        )
        self._end = finalize(self, _stop, self._process, self._stderr)

    @property
    def process_id(self) -> int:
        """Of the process."""
        return self._process.pid

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request; its answer. `InputError` where the model is refused or the process has ended."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError) as e:
            raise InputError(f"{self._path}: {self._program} ended before it was asked; run the command again") from e
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """The next line that the process writes."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("{"):
            said = line.strip() or self._last_words() or "no output"
            self.close()
            raise InputError(f"{self._path}: {self._program} ended without an answer ({bare(said, 200)}); see stderr")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise InputError(f"{self._path} does not run in {self._runtime}: {answer['error']}; export it again")
        return answer

    def close(self) -> None:
        """End the process; also done when this object is garbage."""
        self._end()

    def _last_words(self) -> str:
        """What a process that has ended said of its error, or the first thing that it said."""
        if self._stderr is None:
            return ""
        self._process.wait()
        self._stderr.seek(0)
        lines = [line.strip() for line in self._stderr.read().splitlines() if line.strip()]
        return next((line for line in lines if "error" in line.lower()), f"it ended with code {self._process.poll()}")


def _stop(process: subprocess.Popen[str], stderr: IO[str] | None) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if stderr is not None:
        stderr.close()
