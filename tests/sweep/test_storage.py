"""A sweep's results in a folder and at a URL."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from edgepack.errors import InputError
from edgepack.sweep.storage import Storage


@pytest.fixture(params=["folder", "file", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    places = {"folder": str(tmp_path / "out"), "file": f"file://{tmp_path}/out", "memory": f"memory://{uuid4()}"}
    return Storage(places[request.param])


def test_what_was_written_is_read_and_what_was_removed_is_gone(storage: Storage) -> None:
    assert storage.read("results/a.json") is None
    for content in (b"1", b"2"):
        storage.write("results/a.json", content)
    assert storage.read("results/a.json") == b"2"
    storage.remove("results")
    storage.remove("results")
    assert storage.read("results/a.json") is None


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_whole_stages_go_to_a_url_and_come_back(kind: str, tmp_path: Path) -> None:
    storage = Storage(f"file://{tmp_path}/out" if kind == "file" else f"memory://{uuid4()}")
    stage = tmp_path / "carve-1"
    (stage / "inner").mkdir(parents=True)
    (stage / "inner" / "weights").write_bytes(b"w")
    (stage / "stage.json").write_text("{}")
    (stage / ".hidden").write_text("no")
    storage.put_folder(stage, "stages/one/carve-1")
    storage.write("stages/one/distil-2/weights", b"half")  # a node died before the record was there
    storage.get_stages("stages/one", tmp_path / "back")
    found = sorted(p.relative_to(tmp_path / "back").as_posix() for p in (tmp_path / "back").rglob("*") if p.is_file())
    assert found == ["carve-1/inner/weights", "carve-1/stage.json"]
    storage.get_stages("stages/other", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_url_that_nothing_opens_is_one_line() -> None:
    with pytest.raises(InputError, match=r"output is 'nowhere://place', which fsspec does not open"):
        Storage("nowhere://place/").read("sweep.json")
