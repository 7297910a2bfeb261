"""The TorchScript artifact: what is in the file, and that the lite interpreter computes what the student does."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.errors import InputError
from edgepack.export import Artifact
from edgepack.export.torchscript import export_torchscript, packed_blocks, packed_rows, program_state
from edgepack.export.torchscript_program import expand_int4
from edgepack.quantization import INT4, bit_width, quantize_blocks, quantize_int8, quantize_rows
from edgepack.runtime.pytorch_lite import load, mobile_engine
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.target import load_target

TARGET = load_target("android-torchscript")
SMALL: dict[str, Any] = {
    "vocab_size": 60,
    "embedding_size": 16,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_heads": [2, 2],
    "head_sizes": [8, 8],
    "intermediate_sizes": [20, 20],
    "max_position_embeddings": 40,
    "num_labels": 3,
}
SAFE: dict[str, Any] = {
    "embedding_projection": "self_attentive",
    "embedding_num_heads": 2,
    "embedding_intermediate_size": 12,
}
RANKS = {"query": [4, 0], "key": [0, 0], "value": [0, 5], "output": [3, 0], "up": [0, 6], "down": [7, 0]}
AXES: dict[str, dict[str, Any]] = {
    "plain": {},
    "identity": {"embedding_projection": "identity", "embedding_size": 24},
    "self_attentive": SAFE,
    "self_attentive_relative": {**SAFE, "relative_attention_buckets": 8},
    "norm_before_projection": {"norm_before_projection": True, "projection_bias": True},
    "projection_bias": {"projection_bias": True},
    "all_shared": {"attention_sharing": [0, 0], "ffn_sharing": [0, 0], "num_heads": [2], "head_sizes": [8]}
    | {"intermediate_sizes": [20]},
    "sandwich": {"num_hidden_layers": 4, "attention_sharing": [0, 1, 1, 2], "ffn_sharing": [0, 0, 1, 1]}
    | {"num_heads": [2, 1, 3], "head_sizes": [8, 5, 4]},
    "ranks": {"ranks": RANKS},
    "uneven": {"num_heads": [1, 3], "head_sizes": [10, 4], "intermediate_sizes": [7, 33]},
    "gelu_tanh": {"hidden_act": "gelu_tanh", "head_act": "gelu"},
    "relu": {"hidden_act": "relu", "head_act": "relu"},
    "tanh": {"hidden_act": "tanh", "head_act": "gelu_tanh"},
    "no_norm": {"norm": "no_norm"},
    "one_type": {"type_vocab_size": 1},
    "two_types": {"type_vocab_size": 2, "norm_before_projection": True},
    "relative": {"relative_attention_buckets": 8, "relative_attention_max_distance": 16},
    "token_head": {"task": "token-classification", "head_act": None},
    "odd_width": {"embedding_size": 15},
    "small_head": {"head_size": 5},
    "one_layer": {"num_hidden_layers": 1, "num_heads": [2], "head_sizes": [8], "intermediate_sizes": [20]},
    "last_layer_ranks": {"ranks": {m: [0, 3] for m in RANKS}, "relative_attention_buckets": 8},
    "mean_vector": {"task": "feature-extraction", "pooling": "mean", "head_act": None, "normalized": True},
    "last_vector": {"task": "feature-extraction", "pooling": "last", "head_act": "tanh", "vector_size": 12},
    "first_vector": {"task": "feature-extraction", "head_act": None, "vector_size": 12, "normalized": True},
    "last_layer_shared": {"num_hidden_layers": 3, "attention_sharing": [0, 1, 0], "ffn_sharing": [0, 1, 0]},
    "convolution": {"embedding_kernel": 5, "wide_rows": 5},
    "convolution_of_three": {"embedding_kernel": 3, "type_vocab_size": 2},
    "match": {"match_separator": 7},
    "match_self_attentive": {**SAFE, "match_separator": 7},
    "match_wide": {"match_separator": 7, "wide_rows": 5, "type_vocab_size": 2, "relative_attention_buckets": 8},
    "wide": {"wide_rows": 5},
    "wide_many": {"wide_rows": 300, "type_vocab_size": 2},
}


def make_student(body_bits: int = 32, embedding_bits: int = 32, **changes: Any) -> Student:
    """A seeded student whose numbers are large enough for every part to matter."""
    torch.manual_seed(0)
    student = Student(StudentConfig(**(SMALL | changes))).eval()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.copy_(torch.randn(parameter.shape) * (0.3 if parameter.dim() > 1 else 0.2))
        for module in student.modules():
            if "Norm" in type(module).__name__:
                module.weight.add_(1.0)
    student.set_bits(body_bits, embedding_bits)
    return student


def make_inputs(lengths: tuple[int, ...], vocab_size: int = 60) -> dict[str, torch.Tensor]:
    """A right-padded batch with these lengths and mixed token types."""
    generator = torch.Generator().manual_seed(sum(lengths))
    shape = (len(lengths), max(lengths))
    mask = (torch.arange(shape[1])[None] < torch.tensor(lengths)[:, None]).long()
    return {
        "input_ids": torch.randint(0, vocab_size, shape, generator=generator) * mask,
        "attention_mask": mask,
        "token_type_ids": torch.randint(0, 2, shape, generator=generator),
    }


def torch_logits(student: Student, inputs: dict[str, torch.Tensor]) -> np.ndarray:
    types = inputs["token_type_ids"] % max(student.config.type_vocab_size, 1)
    with torch.no_grad():
        return student(inputs["input_ids"], inputs["attention_mask"], types).logits.numpy()


def artifact_logits(path: Path, student: Student, inputs: dict[str, torch.Tensor]) -> np.ndarray:
    types = inputs["token_type_ids"] % max(student.config.type_vocab_size, 1)
    return load(path).run({name: t.numpy() for name, t in (inputs | {"token_type_ids": types}).items()})


def export(student: Student, folder: Path) -> Artifact:
    return export_torchscript(student, TARGET, folder)


@pytest.mark.parametrize("axis", AXES)
def test_every_axis_gives_the_students_logits(axis: str, tmp_path: Path) -> None:
    student = make_student(**AXES[axis])
    path = export(student, tmp_path).path
    for lengths in ((1,), (40,), (7, 3, 1)):
        inputs = make_inputs(lengths)
        expected, got = torch_logits(student, inputs), artifact_logits(path, student, inputs)
        assert got.dtype == np.float32
        assert got.shape == expected.shape
        valid = inputs["attention_mask"].numpy().astype(bool) if got.ndim == 3 else ...
        np.testing.assert_allclose(got[valid], expected[valid], atol=1e-5)


@pytest.mark.parametrize("embedding_bits", [4, 8])
@pytest.mark.parametrize("axis", AXES)
def test_packed_tables_give_the_students_logits(axis: str, embedding_bits: int, tmp_path: Path) -> None:
    student = make_student(32, embedding_bits, **AXES[axis])
    path, inputs = export(student, tmp_path).path, make_inputs((9,))
    expected = torch_logits(student.double(), inputs)  # of the two fp32 sums, only the runtime's noise is left
    got = artifact_logits(path, student, inputs)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)
    student.set_bits(32, 32)
    assert np.abs(got - torch_logits(student, inputs)).max() > 1e-3


# 24 and 16 inputs: int8; 4 bits in one block shorter than a block; in blocks of 5, the last one shorter
@pytest.mark.parametrize(("body_bits", "block_size"), [(8, 32), (4, 32), (4, 5)])
@pytest.mark.parametrize("axis", AXES)
def test_quantized_bodies_give_the_quantized_students_logits(
    axis: str, body_bits: int, block_size: int, tmp_path: Path
) -> None:
    """The integers are equal; an fp32 sum that ends 1e-7 beside a rounding boundary moves one code by one step.

    Such a step spreads, so no bound in 1e-6 holds for every input. What rounding itself does to the logits bounds
    it: the runtime's median error must be far below, its largest not above, the student's own rounding error.
    """
    student = make_student(body_bits, 8, block_size=block_size, **AXES[axis])
    session = export(student, tmp_path).path
    errors, rounding = [], []
    for length in (1, 2, 3, 5, 8, 12, 17, 23, 31, 40):
        inputs = make_inputs((length,))
        quantized, got = torch_logits(student, inputs), artifact_logits(session, student, inputs)
        student.set_bits(32, 32)
        rounding.append(np.abs(torch_logits(student, inputs) - quantized).max())
        student.set_bits(body_bits, 8)
        errors.append(np.abs(got - quantized).max())
    assert np.median(errors) <= 0.05 * np.median(rounding)
    assert max(errors) <= max(rounding)


def test_padding_and_batching_change_nothing(tmp_path: Path) -> None:
    student = make_student(task="token-classification", head_act=None)
    path, batch = export(student, tmp_path).path, make_inputs((11, 4, 40))
    together = artifact_logits(path, student, batch)
    for row, length in enumerate((11, 4, 40)):
        alone = artifact_logits(path, student, {name: t[row : row + 1, :length] for name, t in batch.items()})
        np.testing.assert_allclose(together[row, :length], alone[0], atol=1e-5)


def test_a_pair_does_not_match_its_padding(tmp_path: Path) -> None:
    student = make_student(match_separator=7)
    path = export(student, tmp_path).path
    ids, mask = torch.tensor([[0, 5, 7, 5, 7, 0, 0]]), torch.tensor([[1] * 5 + [0] * 2])
    batch = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    alone = {name: tensor[:, :5] for name, tensor in batch.items()}
    np.testing.assert_allclose(artifact_logits(path, student, batch), torch_logits(student, alone), atol=1e-5)


def test_pruning_that_is_not_finished_is_refused(tmp_path: Path) -> None:
    student = make_student()
    student.attention[1].mask = torch.ones(2)
    with pytest.raises(InputError, match="still has a pruning mask; remove pruned units before exporting"):
        export_torchscript(student, TARGET, tmp_path)
    assert not list(tmp_path.iterdir())


def test_mask_is_read(tmp_path: Path) -> None:
    student = make_student()
    path, inputs = export(student, tmp_path).path, make_inputs((6,))
    masked = inputs | {"attention_mask": torch.tensor([[1, 1, 1, 0, 0, 0]])}
    assert np.abs(artifact_logits(path, student, inputs) - artifact_logits(path, student, masked)).max() > 1e-3


@given(rows=st.integers(1, 5), columns=st.integers(1, 9), bits=st.sampled_from([4, 8]), seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_packed_rows_unpack_to_the_quantized_rows(rows: int, columns: int, bits: int, seed: int) -> None:
    table = quantize_rows(torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)), bit_width(bits))
    operators = torch.ops.quantized
    unpack = operators.embedding_bag_4bit_unpack if bits == 4 else operators.embedding_bag_byte_unpack
    torch.testing.assert_close(unpack(packed_rows(table))[:, :columns], table.dequantize(), rtol=0, atol=1e-6)


def test_packed_rows_are_torchs_own_layout() -> None:
    codes = quantize_rows(torch.tensor([[0.0, 1.0, 2.0, 15.0]]), INT4)
    # 0 | 1 << 4, 2 | 15 << 4, then scale 1 and minimum 0 as little-endian fp16
    assert packed_rows(codes).tolist() == [[0x10, 0xF2, 0x00, 0x3C, 0x00, 0x00]]


@given(rows=st.integers(1, 9), columns=st.integers(1, 70), block_size=st.integers(1, 40), seed=st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_packed_blocks_expand_to_the_int8_operand(rows: int, columns: int, block_size: int, seed: int) -> None:
    weight = quantize_blocks(
        torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)), INT4, block_size
    )
    packed, blocks = packed_blocks(weight), weight.multiplier.shape[1]
    assert packed.dtype == torch.uint8
    assert len(packed) == (rows * (columns + blocks) + 1) // 2
    expanded = expand_int4(packed, rows, columns, blocks, block_size)
    assert expanded.dtype == torch.int8
    assert torch.equal(expanded, weight.int8_operand())


def test_packed_blocks_are_the_documented_layout() -> None:
    # q 7 −7 | 7 as 15 1 15, steps 9 and 3 of a scale of 1 as multipliers 9 3: five half bytes and a zero
    packed = packed_blocks(quantize_blocks(torch.tensor([[63.0, -63.0, 21.0]]), INT4, 2))
    assert packed.tolist() == [15 | 9 << 4, 1 | 3 << 4, 15]


def test_file_holds_the_codes_of_quantize_int8() -> None:
    student = make_student(8, 8)
    integers, floats = program_state(student)[3:5]
    attention: Any = student.attention[0]
    fused = quantize_int8(torch.cat([p.full.weight for p in (attention.query, attention.key, attention.value)]))
    assert torch.equal(integers[: fused.q.numel()], fused.q.flatten())
    assert torch.equal(floats[: len(fused.scale)], fused.scale)


def test_shared_weights_are_stored_once(tmp_path: Path) -> None:
    alone = {"num_hidden_layers": 1, "num_heads": [2], "head_sizes": [8], "intermediate_sizes": [20]}
    shared = alone | {"num_hidden_layers": 12, "attention_sharing": [0] * 12, "ffn_sharing": [0] * 12}
    sizes = [export(make_student(8, 8, **shape), tmp_path).size_bytes for shape in (alone, shared)]
    # 11 more layers own two norms of 24 weights and biases, and a few small integers
    assert 0 < sizes[1] - sizes[0] - 11 * 2 * 2 * 24 * 4 < 200


def test_archive_holds_only_what_the_interpreter_reads(tmp_path: Path) -> None:
    with zipfile.ZipFile(export(make_student(8, 4), tmp_path).path) as archive:
        records = {name.removeprefix("m/") for name in archive.namelist()}
        assert records - {f"data/{i}" for i in range(5)} == {
            "data.pkl",
            "constants.pkl",
            "bytecode.pkl",
            ".data/version",
        }
        content = b"".join(archive.read(name) for name in archive.namelist())
    assert str(Path(__file__).parents[2]).encode() not in content


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_torchscript import export, make_student
export(make_student(8, 8, vocab_size=99), Path("elsewhere"))
for bits in (4, 8):
    export(make_student(bits, 4), Path(sys.argv[1], str(bits)))
"""


def test_same_bytes_from_another_process_and_folder(tmp_path: Path) -> None:
    for bits in (4, 8):
        export(make_student(bits, 4), tmp_path / "here" / str(bits))
    roots = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, str(tmp_path / "there"), str(Path(__file__).parent)],
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(roots), "PYTHONHASHSEED": "7"},
    )
    for bits in (4, 8):
        files = [(tmp_path / side / str(bits) / TARGET.file).read_bytes() for side in ("here", "there")]
        assert files[0] == files[1]


def test_exporting_and_running_leave_torch_and_the_folder_as_they_were(tmp_path: Path) -> None:
    before = torch.backends.quantized.engine, torch.get_num_threads()
    student = make_student(8, 8)
    artifact_logits(export(student, tmp_path).path, student, make_inputs((4,)))
    assert (torch.backends.quantized.engine, torch.get_num_threads()) == before
    assert [entry.name for entry in tmp_path.iterdir()] == [TARGET.file]
    with pytest.raises(ZeroDivisionError), mobile_engine(1):
        raise ZeroDivisionError
    assert torch.backends.quantized.engine == before[0]


def test_operators_are_recorded_and_checked(tmp_path: Path) -> None:
    artifact = export(make_student(8, 8), tmp_path)
    assert "quantized::linear_dynamic" in artifact.operators
    assert set(artifact.operators) <= set(TARGET.operators)
    poorer = dataclasses.replace(TARGET, operators=tuple(o for o in TARGET.operators if o != "aten::gelu"))
    with pytest.raises(InputError, match=r"aten::gelu.*android-torchscript\.toml"):
        export_torchscript(make_student(8, 8), poorer, tmp_path / "poorer")
    assert not list((tmp_path / "poorer").rglob("*"))  # no file, no half of one


def test_both_targets_list_the_programs_operators(tmp_path: Path) -> None:
    used = {*export(make_student(8, 8), tmp_path).operators}
    used |= {*export(make_student(8, 8, **AXES["mean_vector"]), tmp_path).operators}
    used |= {*export(make_student(8, 8, **AXES["last_vector"]), tmp_path).operators}
    used |= {*export(make_student(8, 8, **AXES["wide"]), tmp_path).operators}
    assert load_target("ios-torchscript").operators == TARGET.operators
    assert set(TARGET.operators) == used


def test_input_names_follow_token_types(tmp_path: Path) -> None:
    assert load(export(make_student(), tmp_path).path).input_names == ("input_ids", "attention_mask")
    with_types = load(export(make_student(type_vocab_size=2), tmp_path).path)
    assert with_types.input_names == ("input_ids", "attention_mask", "token_type_ids")


def test_what_the_format_cannot_hold_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="buckets is 300"):
        export(make_student(relative_attention_buckets=300), tmp_path)


def test_a_width_that_the_target_does_not_list_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="body_bits is 4; allowed: 8"):
        export_torchscript(make_student(4, 8), dataclasses.replace(TARGET, body_bits=(8,)), tmp_path)


def test_an_embedding_width_below_the_formats_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="embedding_bits is 3; allowed: 8, 4"):
        export(make_student(8, 3), tmp_path)


def test_widths_of_single_matrices_are_refused_rather_than_ignored(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"widths\['head.dense'\] is 4 bits; .* at body_bits, 8"):
        export(make_student(8, 8, widths={"attention.0": 8, "head.dense": 4}), tmp_path)
    same = export(make_student(8, 8, widths={"head.dense": 8}), tmp_path / "same").path.read_bytes()
    assert same == export(make_student(8, 8), tmp_path / "none").path.read_bytes()


@pytest.mark.parametrize("damage", ["missing", "empty", "text", "cut", "other zip"])
def test_a_damaged_file_is_one_clear_line(damage: str, tmp_path: Path) -> None:
    path = export(make_student(8, 8), tmp_path).path
    if damage == "missing":
        path.unlink()
    elif damage == "other zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/b", "c")
    else:
        path.write_bytes({"empty": b"", "text": b"no model", "cut": path.read_bytes()[:-4000]}[damage])
    with pytest.raises(InputError, match=r"model\.ptl") as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_wrong_inputs_are_one_clear_line(tmp_path: Path) -> None:
    session = load(export(make_student(8, 8), tmp_path).path)
    with pytest.raises(InputError, match="needs the input 'attention_mask'"):
        session.run({"input_ids": np.ones((1, 3), dtype=np.int64)})
    too_long = np.ones((1, 41), dtype=np.int64)
    with pytest.raises(InputError, match=r"shape \(1, 41\)"):
        session.run({"input_ids": too_long, "attention_mask": too_long})
    unknown = np.full((1, 3), 60)
    with pytest.raises(InputError, match="cannot run"):
        session.run({"input_ids": unknown, "attention_mask": np.ones_like(unknown)})
