"""The scripts and the notebook of examples/ run, in a folder of their own; results are as they say."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.builds.tiny import Files
from tests.pages import REPOSITORY

EXAMPLES = REPOSITORY / "examples"
SCRIPTS = sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem != "small_task")
NOTEBOOK = EXAMPLES / "checkpoint_to_app.ipynb"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, where scripts find what lies beside them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield tmp_path
    sys.modules.pop("small_task", None)


def start(name: str, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    """Run a script as `python examples/NAME.py ARGUMENTS` does."""
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")


def test_there_are_five_and_the_page_lists_them() -> None:
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert len(SCRIPTS) == 5
    assert [name for name in SCRIPTS if f"[{name}.py]({name}.py)" not in page] == []
    assert f"[{NOTEBOOK.name}]({NOTEBOOK.name})" in page


def test_scripts_use_the_face_alone() -> None:
    for name in SCRIPTS:
        text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
        assert "import edgepack\n" in text
        assert "from edgepack" not in text
        assert len(text.splitlines()) <= 80, f"{name} is to be short"


def test_the_gate_in_ci(
    place: Path, unbroken: Path, files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, data = unbroken / "bundles" / "android-onnx", shutil.copy(files.evaluation, place)
    for arguments, code in (((bundle, data, bundle), 0), ((bundle, data), 0), ((place, data), 2)):
        with pytest.raises(SystemExit) as ended:
            start("gate_in_ci", monkeypatch, *arguments)
        assert ended.value.code == code, capsys.readouterr()
    assert "is no bundle" in capsys.readouterr().err
    assert (place / "gate.xml").read_text().startswith("<?xml")
    shutil.copytree(bundle, place / "damaged")
    (place / "damaged" / "tokenizer.json").write_text("{}")
    with pytest.raises(SystemExit) as ended:
        start("gate_in_ci", monkeypatch, place / "damaged", data)
    assert ended.value.code == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("intents", "decisions differ"),
        ("entities", "'New York'"),
        ("custom_recipe", "until 0.4 ['last_layer_attention', 'soft_targets']"),
    ],
)
def test_a_script(
    name: str, said: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start(name, monkeypatch, place / "out")
    told = capsys.readouterr().out
    assert said in told
    assert "passed" in told


@pytest.mark.slow
def test_sentiment_and_the_gate_that_builds_its_bundle_where_none_is_given(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start("sentiment", monkeypatch, "example-out/gate-in-ci")  # where the gate builds: it asks for the same
    told = capsys.readouterr().out
    assert "honestly the story charming and warm: positive, " in told
    assert "passed" in told
    with pytest.raises(SystemExit) as ended:
        start("gate_in_ci", monkeypatch)
    assert ended.value.code == 0


def cells() -> list[dict[str, Any]]:
    document: dict[str, Any] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return [cell for cell in document["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_has_no_outputs() -> None:
    """Outputs make differences that nobody reads; `jupyter nbconvert --clear-output --inplace` takes them out."""
    assert cells()
    assert [cell["id"] for cell in cells() if cell["outputs"] or cell["execution_count"]] == []


def test_the_notebook_compiles() -> None:
    for cell in cells():
        compile("".join(cell["source"]), cell["id"], "exec")


@pytest.mark.slow
def test_the_notebook_runs_from_checkpoint_to_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    folder = tmp_path / "examples"
    shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("example-out", "__pycache__"))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))  # of the kernel, which is a process of its own
    notebook = nbformat.read(folder / NOTEBOOK.name, as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    told = json.dumps([cell.get("outputs", []) for cell in notebook.cells])
    assert (folder / "example-out" / "notebook" / "site" / "index.html").is_file()
    assert "distil" in told, "progress of the build"
    assert "for Jupyter support" not in told, "rich warns where it cannot draw"
