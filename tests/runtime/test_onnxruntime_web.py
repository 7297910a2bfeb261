"""ONNX Runtime Web in Node: the logits of the native runtime, and one line for everything that is missing or wrong."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from edgepack.errors import InputError, MissingDependency
from edgepack.evidence.measure import Subject, measure
from edgepack.export.onnx import export_onnx
from edgepack.runtime import ProcessSession, load, onnxruntime
from edgepack.runtime.onnxruntime_web import find_modules, find_node
from edgepack.runtime.onnxruntime_web import load as load_web
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.target import load_target
from edgepack.task.task import TASK_NAMES

TARGET = load_target("web-onnx")
VOCABULARY = 40
node = [pytest.mark.needs_node, pytest.mark.usefixtures("web_runtime")]


def make_student(body_bits: int, embedding_bits: int, task: str = "text-classification") -> Student:
    torch.manual_seed(0)
    config = StudentConfig(
        vocab_size=VOCABULARY, embedding_size=16, hidden_size=32, num_hidden_layers=2, num_heads=[2, 1],
        head_sizes=[8, 8], intermediate_sizes=[24, 40], max_position_embeddings=16, num_labels=3, task=task,
        head_act="tanh" if task == "text-classification" else None,
    )  # fmt: skip
    student = Student(config).eval()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    student.set_bits(body_bits, embedding_bits)
    student.round_vectors()
    return student


def make_inputs(length: int) -> dict[str, np.ndarray]:
    ids = np.random.default_rng(length).integers(0, VOCABULARY, (1, length))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


class TestInNode:
    pytestmark = node

    @pytest.mark.parametrize("task", TASK_NAMES)
    @pytest.mark.parametrize("bits", [(8, 8), (4, 4), (3, 2), (1, 1)])
    def test_logits_are_the_native_runtimes(self, bits: tuple[int, int], task: str, tmp_path: Path) -> None:
        path = export_onnx(make_student(*bits, task), TARGET, tmp_path).path
        web, native = load(path, TARGET), onnxruntime.load(path)
        assert web.input_names == native.input_names
        errors = [np.abs(web.run(make_inputs(n)) - native.run(make_inputs(n))).max() for n in (1, 5, 9, 13, 16)]
        assert np.median(errors) <= 1e-5  # a sum of another order tips an activation over a rounding step now and then
        assert web.run(make_inputs(5)).shape == native.run(make_inputs(5)).shape

    def test_a_static_shape_is_padded_to(self, tmp_path: Path) -> None:
        student = make_student(8, 8, "token-classification")
        path = export_onnx(student, dataclasses.replace(TARGET, static_shape=True), tmp_path).path
        for length in (1, 7, 16):
            web, native = load_web(path).run(make_inputs(length)), onnxruntime.load(path).run(make_inputs(length))
            assert web.shape == (1, length, 3)
            np.testing.assert_allclose(web, native, rtol=0, atol=0.05)

    def test_it_is_measured_where_it_runs(self, tmp_path: Path) -> None:
        path = export_onnx(make_student(8, 8), TARGET, tmp_path).path
        session = load(path, TARGET)
        assert isinstance(session, ProcessSession)
        speed = measure({"artifact": Subject("artifact", path, TARGET.name)}, (4, 8), runs=2, repeats=1)["artifact"]
        assert 20e6 < speed.baseline_bytes <= speed.peak_bytes
        assert speed.p50_ms[4] > 0

    def test_what_is_wrong_is_one_line_and_the_session_goes_on(self, tmp_path: Path) -> None:
        path = export_onnx(make_student(8, 8), TARGET, tmp_path).path
        session = load_web(path)
        with pytest.raises(InputError, match="'attention_mask' was not given"):
            session.run({"input_ids": np.ones((1, 2), np.int64)})
        with pytest.raises(InputError, match=r"does not run in onnxruntime-web"):
            session.run({name: np.full((1, 2), 999) for name in session.input_names})
        assert session.run(make_inputs(3)).shape == (1, 3)
        session.close()
        with pytest.raises((InputError, ValueError)):
            session.run(make_inputs(3))
        path.write_bytes(path.read_bytes()[:-1000])
        with pytest.raises(InputError, match="does not run in onnxruntime-web") as error:
            load_web(path)
        assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.onnx is not a file"):
        load_web(tmp_path / "none.onnx")


def test_what_is_missing_comes_with_the_line_that_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependency, match=r"needs Node\.js.*apt-get install nodejs"):
        find_node()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("EDGEPACK_NODE", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingDependency, match=r"run: npm install .*onnxruntime-web@1\."):
        find_modules()
    package = tmp_path / ".cache" / "edgepack" / "node_modules" / "onnxruntime-web"
    package.mkdir(parents=True)
    (package / "package.json").write_text("{}")
    assert find_modules() == package.parent
