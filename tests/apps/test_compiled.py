"""Kotlin archives are made once of the same bytes, wherever they lie, and again where anything differs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.apps.kotlin.toolchain import Toolchain, ToolFailed


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What the compiler was asked for; in its place a file with the number of the call is written."""
    asked: list[Path] = []
    numbers = itertools.count()

    def compile_nothing(tools: Toolchain, sources: Sequence[Path], out: Path, *other: Sequence[object]) -> None:
        if any("wrong" in path.read_text() for folder in sources for path in folder.rglob("*.kt")):
            raise ToolFailed("error: wrong")
        asked.append(out)
        out.write_text(str(next(numbers)))

    monkeypatch.setattr(Toolchain, "_compile", compile_nothing)
    return asked


def sources(folder: Path, text: str, name: str = "A.kt") -> Path:
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / name).write_text(text)
    return folder


def test_the_same_sources_in_another_place_are_taken_as_they_are(tmp_path: Path, made: list[Path]) -> None:
    tools = Toolchain(tmp_path)
    for place in "ab":
        out = tools.compile([sources(tmp_path / place, "fun f() = 1")], tmp_path / f"{place}.jar")
        assert out.read_text() == "0"
    assert len(made) == 1


def test_other_text_name_option_or_library_is_compiled(tmp_path: Path, made: list[Path]) -> None:
    tools, library = Toolchain(tmp_path), tmp_path / "library.jar"
    library.write_text("library")
    first = sources(tmp_path / "a", "fun f() = 1")
    tools.compile([first], tmp_path / "out.jar")
    tools.compile([sources(tmp_path / "b", "fun f() = 2")], tmp_path / "out.jar")
    tools.compile([sources(tmp_path / "c", "fun f() = 1", "B.kt")], tmp_path / "out.jar")
    tools.compile([first], tmp_path / "out.jar", options=["-Xplugin=p"])
    tools.compile([first], tmp_path / "out.jar", classpath=[library])
    tools.compile([first], tmp_path / "out.jar", friends=[library])
    library.write_text("another")
    tools.compile([first], tmp_path / "out.jar", friends=[library])
    assert len(made) == 7
    assert (tmp_path / "out.jar").read_text() == "6"


def test_what_does_not_compile_is_not_kept(tmp_path: Path, made: list[Path]) -> None:
    tools, wrong = Toolchain(tmp_path), sources(tmp_path / "a", "wrong")
    for _ in range(2):
        with pytest.raises(ToolFailed):
            tools.compile([wrong], tmp_path / "out.jar")
    assert not list((tmp_path / "compiled").iterdir())
