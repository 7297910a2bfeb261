"""The format of a matrix: what a kernel reads is the rounded weight, and files take the blocks that it cannot read."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.export.encoder_walk import feed_forward_of
from edgepack.export.matrix_format import (
    KERNEL_BLOCK,
    KERNEL_WIDTH,
    MatrixFormat,
    kernel_format,
    kernel_matrix,
    packed_format,
    scales_per_channel,
    width_of,
)
from edgepack.export.weights import Weights
from edgepack.quantization import BITS, FP32, INT4, INT8, WIDTHS, BitWidth, round_weight
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student


@st.composite
def students(draw: st.DrawFn) -> Student:
    """One layer, its first product of 1 to 100 inputs at any width and block size."""
    hidden = draw(st.one_of(st.integers(1, 100), st.sampled_from([32, 64, 96])))
    config = StudentConfig(
        vocab_size=3, embedding_size=hidden, embedding_projection="identity", hidden_size=hidden, num_hidden_layers=1,
        num_heads=[1], head_sizes=[2], intermediate_sizes=[draw(st.integers(1, 5))], max_position_embeddings=2,
        body_bits=draw(st.sampled_from(BITS)), block_size=draw(st.sampled_from([1, 8, 32, 64])),
        widths=draw(st.sampled_from([None, {"feed_forward.0.up": 4}])),
    )  # fmt: skip
    torch.manual_seed(draw(st.integers(0, 1000)))
    return Student(config)


@given(students())
@settings(max_examples=60, deadline=None)
def test_what_a_kernel_reads_is_the_rounded_weight(student: Student) -> None:
    config, weights = student.config, Weights(student)
    (up,) = feed_forward_of(config, 0).up
    width, found = width_of(up, config), kernel_format(up, config)
    if width == FP32:
        assert found is MatrixFormat.FLOATS
        return
    codes, scales = kernel_matrix(weights, up)
    assert codes.dtype == torch.int8
    assert scales.shape == (up.out_features, scales_per_channel(up, found))
    numbers = codes.float() * scales.repeat_interleave(up.in_features // scales.shape[1], dim=1)
    torch.testing.assert_close(numbers, round_weight(weights.matrix(up), width, config.block_size))


@given(students())
@settings(max_examples=60, deadline=None)
def test_only_whole_blocks_at_the_kernels_width_are_left_in_blocks(student: Student) -> None:
    config = student.config
    (up,) = feed_forward_of(config, 0).up
    packed, kernel = packed_format(up, config), kernel_format(up, config)
    readable = width_of(up, config) == KERNEL_WIDTH and config.block_size == KERNEL_BLOCK
    readable = readable and up.in_features % KERNEL_BLOCK == 0
    assert (packed is MatrixFormat.BLOCKS) == width_of(up, config).in_blocks
    if packed is MatrixFormat.BLOCKS:
        assert kernel is (MatrixFormat.BLOCKS if readable else MatrixFormat.OPERAND)
    else:
        assert kernel is packed


@pytest.mark.parametrize("width", WIDTHS.values(), ids=str)
def test_a_matrix_in_a_file_that_unpacks_it(width: BitWidth) -> None:
    config = StudentConfig(num_hidden_layers=1, body_bits=width.bits)
    (down,) = feed_forward_of(config, 0).down
    expected = {FP32: MatrixFormat.FLOATS, INT8: MatrixFormat.CHANNELS}.get(width, MatrixFormat.BLOCKS)
    assert packed_format(down, config) is expected


def test_numbers_are_rounded_once_each() -> None:
    student = Student(StudentConfig(vocab_size=5, num_hidden_layers=1, body_bits=8, embedding_bits=4))
    weights = Weights(student)
    (up,) = feed_forward_of(student.config, 0).up
    assert weights.channels(up) is weights.channels(up)
    assert weights.blocks(up, INT4) is weights.blocks(up, INT4)
    path = "embeddings.word.weight"
    assert weights.rows(path, INT4) is weights.rows(path, INT4)
    assert weights.rows(path, INT8) is not weights.rows(path, INT4)
