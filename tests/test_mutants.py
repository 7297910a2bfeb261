"""`python -m tests.mutants`: what was not killed has survived, and too many survivors are a failure."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from benchmarks.tables import with_table
from tests import mutants
from tests.mutants import PAGE, REPOSITORY, TABLE_NAME, changes, main, read_results, share_killed, table


def write_results(folder: Path, codes: list[int | None], path: str = "edgepack/a.py") -> Path:
    """A run's folder with one file, whose mutants of a method ended with these exit codes."""
    named = [f"xǁStageǁadd__mutmut_{i}" for i in range(1, len(codes) + 1)]
    bodies = [("xǁStageǁadd__mutmut_orig", "a + 1"), *((name, f"a - {i}") for i, name in enumerate(named))]
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    methods = "".join(f"    def {name}(self, a):\n        b = {body}\n        return b\n" for name, body in bodies)
    (folder / path).write_text(f"class Stage:\n{methods}")
    keys = {f"edgepack.a.{name}": code for name, code in zip(named, codes, strict=True)}
    (folder / f"{path}.meta").write_text(json.dumps({"exit_code_by_key": keys, "durations_by_key": {}}))
    return folder


@pytest.mark.parametrize(
    ("codes", "exit_code"),
    [
        ([1] * 9 + [0], 0),
        ([1] * 17 + [0] * 2, 1),  # 89.5 %
        ([1] * 10, 0),
        ([1] * 8 + [3, -24], 0),  # an error in a test, a time-out
        ([1] * 8 + [33] * 2, 1),  # without a test
        ([1] * 8 + [None] * 2, 1),  # not run yet
        ([1] * 8 + [-11, 35], 1),  # a crash, something odd
        ([0], 1),
    ],
)
def test_nine_of_ten_have_to_be_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], codes: list[int | None], exit_code: int
) -> None:
    assert main([], write_results(tmp_path, codes)) == exit_code
    share = sum(code in (1, 3, -24) for code in codes) / len(codes)
    assert capsys.readouterr().out.endswith(f"{share:.2%} of the mutants are killed; at least 90% must be\n")


def test_without_results_nothing_is_proved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], write_results(tmp_path, [])) == 2
    assert capsys.readouterr().err == f"{tmp_path} holds no results; run: make mutants\n"
    assert share_killed([]) == 0


def test_survivors_are_shown_with_what_was_changed(tmp_path: Path) -> None:
    write_results(tmp_path, [1, 0, 33])
    write_results(tmp_path, [1], "edgepack/room/b.py")
    files = read_results(tmp_path)
    assert [(file.path, file.total) for file in files] == [("edgepack/a.py", 3), ("edgepack/room/b.py", 1)]
    assert list(changes(tmp_path, files[0])) == [
        "edgepack/a.py Stage.add: b = a + 1  →  b = a - 1",
        "edgepack/a.py Stage.add: b = a + 1  →  b = a - 2",
    ]
    assert table(files).splitlines()[2:] == [
        "| `edgepack/a.py` | 3 | 1 | 2 | 33.3% |",
        "| `edgepack/room/b.py` | 1 | 1 | 0 | 100.0% |",
        "| all | 4 | 2 | 2 | 50.0% |",
    ]


def test_the_page_gets_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(with_table(PAGE.read_text(), TABLE_NAME, "old"))
    monkeypatch.setattr(mutants, "PAGE", page)
    main([], write_results(tmp_path, [1]))
    assert "old" in page.read_text()
    main(["--page"], tmp_path)
    assert "| all | 1 | 1 | 0 | 100.0% |" in page.read_text()


def test_the_page_is_of_the_files_that_are_mutated() -> None:
    mutated = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["mutmut"]["only_mutate"]
    assert all((REPOSITORY / path).is_file() for path in mutated)
    page = PAGE.read_text()
    assert [path for path in mutated if f"| `{path}` |" not in page] == []
