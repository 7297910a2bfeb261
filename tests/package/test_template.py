"""Templates: copied without build outputs, every default replaced or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgepack.errors import MissingDependency
from edgepack.package import template
from edgepack.package.template import copy_template, replaced


@pytest.fixture
def toaster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A template called toaster, and where it is copied to."""
    source = tmp_path / "sample_apps" / "toaster"
    for name in ("app/main.txt", "app/build/out.bin", ".gradle/cache", "node_modules/x/index.js", "keep/.hidden"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("id dev.edgepack.sample, name edgepack sample")
    monkeypatch.setattr(template, "checkout", lambda: tmp_path / "sample_apps")
    return tmp_path / "out"


def test_build_outputs_stay_behind_and_defaults_are_replaced(toaster: Path) -> None:
    copy_template("toaster", toaster, {"app/main.txt": {"dev.edgepack.sample": "com.x.y", "edgepack sample": "X"}})
    files = sorted(path.relative_to(toaster).as_posix() for path in toaster.rglob("*") if path.is_file())
    assert files == ["app/main.txt", "keep/.hidden"]
    assert (toaster / "app/main.txt").read_text() == "id com.x.y, name X"


def test_a_default_that_is_not_there_is_a_defect(toaster: Path) -> None:
    with pytest.raises(ValueError, match=r"template toaster/app/main.txt does not contain 'gone'"):
        copy_template("toaster", toaster, {"app/main.txt": {"gone": "x"}})


def test_values_are_not_replaced_again() -> None:
    assert replaced("a b ab", {"a": "b", "b": "a", "ab": "c"}, "x") == "b a c"
    assert replaced("a", {}, "x") == "a"


def test_an_installation_without_templates(toaster: Path) -> None:
    with pytest.raises(MissingDependency, match="pip install"):
        copy_template("kettle", toaster, {})
