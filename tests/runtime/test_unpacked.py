"""The unpacked model that a folder keeps: used where it is whole and of this runtime, made again else, never needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from edgepack.errors import InputError
from edgepack.export import export
from edgepack.runtime import onnxruntime as runtime
from edgepack.runtime.unpacked import GRAPH, WEIGHTS, open_unpacked
from edgepack.target import load_target
from tests.evidence.world import make_student

INPUTS = {name: np.array([[2, 7, 9, 3]]) for name in ("input_ids",)} | {
    "attention_mask": np.ones((1, 4), np.int64),
    "token_type_ids": np.zeros((1, 4), np.int64),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    student = make_student(vocab_size=60, type_vocab_size=2, num_labels=2, body_bits=4, embedding_bits=3)
    return export(student, load_target("android-onnx"), tmp_path_factory.mktemp("model")).path


@pytest.fixture
def levels(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The levels of optimization at which files are opened, in order."""
    opened: list[str] = []
    true = runtime._open

    def noting(path: Path, threads: int, level: onnxruntime.GraphOptimizationLevel, *other: Path) -> object:
        opened.append(level.name.removeprefix("ORT_"))
        return true(path, threads, level, *other)

    monkeypatch.setattr(runtime, "_open", noting)
    return opened


def test_the_second_load_is_of_what_the_first_kept_and_gives_the_same_bits(
    model: Path, tmp_path: Path, levels: list[str]
) -> None:
    expected = runtime.load(model).run(INPUTS)
    for _ in range(2):
        assert np.array_equal(runtime.load(model, cache=tmp_path / "cache").run(INPUTS), expected)
    assert levels == ["ENABLE_ALL", "ENABLE_EXTENDED", "DISABLE_ALL"]
    (kept,) = (tmp_path / "cache").iterdir()
    assert f"-{onnxruntime.__version__}-" in kept.name
    assert {path.name for path in kept.iterdir()} == {GRAPH, WEIGHTS}
    nodes = [len(onnx.load(path).graph.node) for path in (model, kept / GRAPH)]
    assert nodes[1] < nodes[0] / 2
    assert (kept / WEIGHTS).stat().st_size > 0


@pytest.mark.parametrize("name", [GRAPH, WEIGHTS])
def test_a_damaged_file_and_one_of_another_version_are_made_again(
    model: Path, tmp_path: Path, levels: list[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    expected = runtime.load(model, cache=tmp_path).run(INPUTS)
    (kept,) = tmp_path.iterdir()
    data = bytearray((kept / name).read_bytes())
    data[len(data) // 2] ^= 1
    (kept / name).write_bytes(data)
    assert np.array_equal(runtime.load(model, cache=tmp_path).run(INPUTS), expected)
    monkeypatch.setattr(onnxruntime, "__version__", "0.0")
    assert np.array_equal(runtime.load(model, cache=tmp_path).run(INPUTS), expected)
    assert levels == ["ENABLE_EXTENDED"] * 3
    (only,) = tmp_path.iterdir()
    assert "-0.0-" in only.name


def test_kept_weights_that_are_missing_are_made_again(model: Path, tmp_path: Path, levels: list[str]) -> None:
    expected = runtime.load(model, cache=tmp_path).run(INPUTS)
    (kept,) = tmp_path.iterdir()
    (kept / WEIGHTS).unlink()
    assert np.array_equal(runtime.load(model, cache=tmp_path).run(INPUTS), expected)
    assert levels == ["ENABLE_EXTENDED"] * 2


def test_a_model_of_the_same_length_is_another_one(model: Path, tmp_path: Path, levels: list[str]) -> None:
    other, data = tmp_path / "other.onnx", model.read_bytes()
    assert b"edgepack" in data
    other.write_bytes(data.replace(b"edgepack", b"packedge"))
    for path in (model, other):
        runtime.load(path, cache=tmp_path / "cache")
    assert levels == ["ENABLE_EXTENDED"] * 2


def test_a_kept_file_that_the_runtime_refuses_is_made_again(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.write_bytes(b"model")

    def unpack(place: Path) -> str:
        place.write_bytes(b"unpacked")
        return "unpacked"

    def refuse(kept: Path) -> str:
        raise RuntimeError(kept)

    def read(kept: Path) -> str:
        assert kept.name == GRAPH
        return f"kept {kept.read_text()}"

    ways: list[tuple[Callable[[Path], str], str]] = [(read, "unpacked"), (refuse, "unpacked"), (read, "kept unpacked")]
    for open_kept, expected in ways:
        assert open_unpacked(model, tmp_path / "cache", "1", open_kept, unpack) == expected
        assert len(list((tmp_path / "cache").iterdir())) == 1


def test_where_nothing_can_be_kept_the_model_is_loaded_as_it_is(model: Path, tmp_path: Path, levels: list[str]) -> None:
    (tmp_path / "file").touch()
    runtime.load(model, cache=tmp_path / "file")
    assert levels == ["ENABLE_ALL"]


def test_a_model_that_does_not_load_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(InputError, match="does not load in ONNX Runtime"):
        runtime.load(tmp_path / "model.onnx", cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
