"""What model files say of themselves, read without running them; damaged and hostile ones end in one line."""

from __future__ import annotations

import pickle
import platform
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from edgepack.errors import InputError, NotRunHere
from edgepack.export import Artifact, export
from edgepack.export.tflite_file import OPERATORS
from edgepack.export.torchscript import pack_archive, program_state, used_operators
from edgepack.export.torchscript_program import MobileEncoder
from edgepack.runtime import load
from edgepack.runtime.face import Face, TensorFace, read_face
from edgepack.runtime.litert_face import NAMES
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.target import Target, load_target
from tests.noisy import noisy_student

ONNX, LITE, TFLITE = (load_target(name) for name in ("android-onnx", "android-torchscript", "android-litert"))


def student(bits: tuple[int, int] = (8, 8), task: str = "text-classification", types: int = 2) -> Student:
    config = StudentConfig(
        vocab_size=40, embedding_size=16, hidden_size=32, num_hidden_layers=2, num_heads=[2, 2],
        head_sizes=[16, 16], intermediate_sizes=[48, 48], max_position_embeddings=16, type_vocab_size=types,
        num_labels=3, body_bits=bits[0], embedding_bits=bits[1], task=task,
    )  # fmt: skip
    made = noisy_student(config).eval()
    made.round_vectors()
    return made


def names(face: Face) -> list[str]:
    return [tensor.name for tensor in face.inputs]


@pytest.mark.parametrize("bits", [(8, 8), (4, 4), (3, 2)])
def test_an_onnx_file_says_what_was_exported(tmp_path: Path, bits: tuple[int, int]) -> None:
    artifact = export(student(bits), ONNX, tmp_path)
    face = read_face(artifact.path, ONNX)
    model = onnx.load(artifact.path)
    assert face.operators == artifact.operators
    assert (face.opset, face.ir_version, face.faults) == (model.opset_import[0].version, model.ir_version, ())
    assert names(face) == ["input_ids", "attention_mask", "token_type_ids"]
    assert face.inputs[0] == TensorFace("input_ids", "int64", ("batch", "seq"))
    assert face.outputs == (TensorFace("logits", "float32", ("batch", 3)),)


@pytest.mark.parametrize("bits", [(8, 8), (4, 4)])
@pytest.mark.parametrize("types", [0, 2])
def test_a_torchscript_file_says_what_was_exported(tmp_path: Path, bits: tuple[int, int], types: int) -> None:
    artifact = export(student(bits, "token-classification", types), LITE, tmp_path)
    face = read_face(artifact.path, LITE)
    assert face.operators == used_operators(artifact.path.read_bytes())
    assert names(face) == ["input_ids", "attention_mask", "token_type_ids"][: 2 + bool(types)]
    assert face.outputs == (TensorFace("logits", "float32", ("batch", "seq", 3)),)
    assert face.faults == ()


def test_a_torchscript_file_of_an_older_edgepack_is_read(tmp_path: Path) -> None:
    made = student()
    artifact, older = export(made, LITE, tmp_path), tmp_path / "older.ptl"
    encoder = torch.jit.script(MobileEncoder(program_state(made)))  # it was the outermost module
    older.write_bytes(pack_archive(encoder._save_to_buffer_for_lite_interpreter()))
    now, then = read_face(artifact.path, LITE), read_face(older, LITE)
    assert (then.inputs, then.outputs, then.faults) == (now.inputs, now.outputs, ())
    texts = {name: np.ones((1, 5), np.int64) for name in names(now)}
    assert np.array_equal(load(older, LITE).run(texts), load(artifact.path, LITE).run(texts))
    assert older.stat().st_size - artifact.size_bytes > 3_000


@pytest.mark.parametrize("bits", [(8, 8), (4, 4)])
@pytest.mark.parametrize("task", ["text-classification", "token-classification"])
def test_a_tflite_file_says_what_was_exported(tmp_path: Path, bits: tuple[int, int], task: str) -> None:
    artifact = export(student(bits, task), TFLITE, tmp_path)
    face = read_face(artifact.path, TFLITE)
    assert face.operators == artifact.operators
    assert face.inputs == tuple(TensorFace(name, "int64", (1, "seq")) for name in names(face))
    expected = (1, 3) if task == "text-classification" else (1, "seq", 3)
    assert face.outputs == (TensorFace("logits", "float32", expected),)
    assert face.faults == ()


def test_the_names_of_tflite_operators_are_the_exporters() -> None:
    assert {number: name for name, (number, _, _) in OPERATORS.items()} == NAMES


def spoilt_onnx(artifact: Artifact) -> str:
    """A NaN among the weights; what is said of it."""
    model = onnx.load(artifact.path)
    tensor = max((t for t in model.graph.initializer if t.data_type in (1, 10)), key=lambda t: len(t.raw_data))
    values = onnx.numpy_helper.to_array(tensor).copy()
    values.flat[1] = np.inf
    tensor.raw_data = values.tobytes()
    artifact.path.write_bytes(model.SerializeToString())
    return f"{tensor.name} holds 1 values that are NaN or infinite"


def spoil_zip(path: Path, record: str, change: Callable[[bytes], bytes]) -> None:
    """Rewrite one record of an archive."""
    with zipfile.ZipFile(path) as archive:
        items = [(info.filename, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in items:
            archive.writestr(name, change(data) if name == record else data)


def at(place: int, value: float, dtype: str) -> Callable[[bytes], bytes]:
    """Put a number somewhere into an array of bytes."""
    number = np.array(value, dtype).tobytes()
    return lambda data: data[:place] + number + data[place + len(number) :]


@pytest.mark.parametrize(
    ("bits", "record", "change", "said"),
    [
        ((8, 8), "m/data/1", at(40, np.nan, "<f4"), "floats hold 1"),
        ((8, 8), "m/data/2", at(16, np.inf, "<f4"), "words hold 1"),  # behind the 16 codes of the first row
        ((4, 4), "m/data/2", at(10, np.nan, "<f2"), "words hold 1"),  # its minimum, behind 8 bytes of codes
        ((8, 8), "m/data/3", at(32, np.nan, "<f4"), "positions hold 1"),
    ],
)
def test_numbers_that_are_none_in_a_torchscript_file(
    tmp_path: Path, bits: tuple[int, int], record: str, change: Callable[[bytes], bytes], said: str
) -> None:
    artifact = export(student(bits), LITE, tmp_path)
    spoil_zip(artifact.path, record, change)
    assert any(fault.startswith(said) for fault in read_face(artifact.path, LITE).faults)


@pytest.mark.parametrize("change", ["record", "comment", "end", "gap"])
def test_what_else_a_torchscript_file_holds_is_a_fault(tmp_path: Path, change: str) -> None:
    artifact = export(student(), LITE, tmp_path)
    with zipfile.ZipFile(artifact.path, "a") as archive:
        if change == "record":
            archive.writestr("m/code/more.py", b"x")
        elif change == "comment":
            archive.comment = b"x" * 9
        elif change == "gap":
            archive.start_dir += 9
            archive.writestr("m/version", b"3")
    if change == "end":
        artifact.path.write_bytes(artifact.path.read_bytes() + b"x" * 9)
    said = (
        "it holds m/code/more.py, which edgepack does not write" if change == "record" else "9 of its bytes are in no"
    )
    assert any(fault.startswith(said) for fault in read_face(artifact.path, LITE).faults)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_record_that_stands_twice_is_a_fault_whichever_a_runtime_reads(tmp_path: Path) -> None:
    artifact = export(student(), LITE, tmp_path)
    with zipfile.ZipFile(artifact.path, "a") as archive:
        archive.writestr("m/data/0", archive.read("m/data/0"))
    assert read_face(artifact.path, LITE).faults == ("it holds m/data/0 2 times",)


def test_records_in_two_folders_are_one_line(tmp_path: Path) -> None:
    artifact = export(student(), LITE, tmp_path)
    with zipfile.ZipFile(artifact.path, "a") as archive:
        archive.writestr("other/x", b"x")
    with pytest.raises(InputError, match="has records in 2 folders, not in one; export it again"):
        read_face(artifact.path, LITE)


def test_numbers_that_are_none_in_an_onnx_and_a_tflite_file(tmp_path: Path) -> None:
    artifact = export(student(), ONNX, tmp_path)
    assert spoilt_onnx(artifact) in read_face(artifact.path, ONNX).faults
    artifact = export(student(), TFLITE, tmp_path)
    made = student()
    bias = made.state_dict()["head.classifier.bias"].numpy().astype("<f4").tobytes()
    data = artifact.path.read_bytes()
    assert data.count(bias) == 1
    artifact.path.write_bytes(data.replace(bias, np.full(3, np.nan, "<f4").tobytes()))
    assert any("holds 3 values that are NaN" in fault for fault in read_face(artifact.path, TFLITE).faults)


@pytest.mark.parametrize("change", ["sparse", "function", "attribute", "two opsets", "no raw data"])
def test_what_no_onnx_artifact_has_is_a_fault(tmp_path: Path, change: str) -> None:
    artifact = export(student(), ONNX, tmp_path)
    model = onnx.load(artifact.path)
    if change == "sparse":
        model.graph.sparse_initializer.add()
    elif change == "function":
        model.functions.add()
    elif change == "attribute":
        model.graph.node[0].attribute.append(onnx.helper.make_attribute("alpha", float("nan")))
    elif change == "two opsets":
        model.opset_import.append(onnx.helper.make_opsetid("ai.onnx", 21))
    else:
        tensor = next(t for t in model.graph.initializer if t.data_type == 1)
        tensor.float_data.extend(onnx.numpy_helper.to_array(tensor).ravel())
        tensor.ClearField("raw_data")
    artifact.path.write_bytes(model.SerializeToString())
    assert len(read_face(artifact.path, ONNX).faults) == 1


def test_an_onnx_file_that_reads_another_file_is_refused(tmp_path: Path) -> None:
    artifact = export(student(), ONNX, tmp_path)
    model = onnx.load(artifact.path)
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], "/etc/passwd")
    artifact.path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="lies in another file"):
        read_face(artifact.path, ONNX)


class Evil:
    """A pickle that would write a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("record", ["m/data.pkl", "m/bytecode.pkl"])
def test_nothing_of_a_torchscript_file_is_run(tmp_path: Path, record: str) -> None:
    artifact = export(student(), LITE, tmp_path)
    mark = tmp_path / "mark"
    spoil_zip(artifact.path, record, lambda _: pickle.dumps(Evil(mark)))
    with pytest.raises(InputError, match="is no TorchScript artifact of edgepack: it names "):
        read_face(artifact.path, LITE)
    assert not mark.exists()


def test_a_pickle_is_not_unpacked_whole_before_it_is_refused(tmp_path: Path) -> None:
    artifact = export(student(), LITE, tmp_path)
    spoil_zip(artifact.path, "m/bytecode.pkl", lambda _: b"\x80\x02" + b"]" * 2_000_000 + b".")
    with pytest.raises(InputError, match=r"unpacks to 2,000,003 bytes"):
        read_face(artifact.path, LITE)


@pytest.mark.parametrize("target", [ONNX, LITE, TFLITE], ids=lambda target: target.format)
def test_damaged_files_are_one_line_or_read(tmp_path: Path, target: Target) -> None:
    data = export(student(), target, tmp_path).path.read_bytes()
    path = tmp_path / "damaged"
    generator = np.random.default_rng(0)
    cuts = [data[: int(n)] for n in generator.integers(0, len(data), 40)]
    flips = []
    for places in generator.integers(0, len(data), (60, 3)):
        flipped = bytearray(data)
        for place in places:
            flipped[place] ^= 0xFF
        flips.append(bytes(flipped))
    refused: list[str] = []
    for damaged in [b"", b"\0" * 100, *cuts, *flips]:
        path.write_bytes(damaged)
        try:
            read_face(path, target)
        except InputError as e:
            refused.append(str(e))
    assert len(refused) > 20
    assert not any("\n" in line for line in refused)


def test_a_package_of_another_system_is_not_run_here(tmp_path: Path) -> None:
    if platform.system() == "Darwin":
        pytest.skip("Core ML runs here")
    with pytest.raises(NotRunHere):
        read_face(tmp_path, load_target("ios-coreml"))
