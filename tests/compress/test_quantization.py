"""Number formats: errors within half a step, integers in range, gradients straight through."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from edgepack.compress.quantization import (
    quantize_blocks,
    quantize_int8,
    quantize_rows,
    round_activation,
    round_rows,
    round_weight,
)


@st.composite
def matrices(draw: st.DrawFn) -> Tensor:
    rows, columns = draw(st.integers(1, 7)), draw(st.integers(1, 70))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    scale = 10.0 ** draw(st.integers(-4, 3))
    return torch.randn(rows, columns, generator=generator) * scale


@given(matrices())
def test_int8_error_is_at_most_half_a_step(weight: Tensor) -> None:
    quantized = quantize_int8(weight)
    assert quantized.q.abs().max() <= 127
    error = (quantized.dequantize() - weight).abs()
    assert (error <= quantized.scale[:, None] * 0.5001).all()
    assert torch.equal(quantized.q.abs().amax(1) == 127, weight.abs().amax(1) > 0)


@given(matrices(), st.integers(1, 40))
def test_int4_error_is_at_most_half_a_block_step(weight: Tensor, block_size: int) -> None:
    quantized = quantize_blocks(weight, 4, block_size)
    assert quantized.q.min() >= -8
    assert quantized.q.max() <= 7
    assert quantized.multiplier.min() >= 1
    assert quantized.multiplier.max() <= 15
    steps = quantized.multiplier.float().repeat_interleave(block_size, 1)[:, : weight.shape[1]]
    step = steps * quantized.scale[:, None]
    # a block's step is rounded up to a multiple, but the last multiple may be a hair short of its largest value
    assert ((quantized.dequantize() - weight).abs() <= step * 0.501).all()
    assert torch.equal(quantized.int8_operand().float() * quantized.scale[:, None], quantized.dequantize())


@given(matrices(), st.sampled_from([4, 8]))
def test_row_error_is_at_most_half_a_step_and_the_stored_types_rounding(table: Tensor, bits: int) -> None:
    quantized = quantize_rows(table, bits)
    assert quantized.q.max() <= 2**bits - 1
    assert quantized.scale.dtype == (torch.float16 if bits == 4 else torch.float32)
    spread = table.amax(1) - table.amin(1)
    stored = table.abs().amax(1) * (2e-3 if bits == 4 else 1e-6)  # fp16 keeps 11 bits of scale and minimum
    allowed = spread / (2**bits - 1) * 0.51 + stored + 2e-6
    assert ((quantized.dequantize() - table).abs() <= allowed[:, None]).all()


@given(matrices())
def test_activation_error_is_at_most_half_a_step_and_zero_is_exact(x: Tensor) -> None:
    x[:, 0] = 0
    rounded = round_activation(x)
    span = x.amax(1).clamp(min=0) - x.amin(1).clamp(max=0)
    assert ((rounded - x).abs() <= span[:, None] / 255 * 1.001 + 1e-12).all()
    assert (rounded[:, 0] == 0).all()


def test_an_example_does_not_change_its_neighbours_rounding() -> None:
    x = torch.randn(1, 5, 8)
    beside = torch.cat([x, 100 * torch.randn(1, 5, 8)])
    assert torch.equal(round_activation(beside)[:1], round_activation(x))


@pytest.mark.parametrize("bits", [4, 8])
def test_gradients_pass_straight_through(bits: int) -> None:
    weight = torch.randn(4, 64, requires_grad=True)
    for rounded in (round_weight(weight, bits, 32), round_rows(weight, bits), round_activation(weight)):
        assert not torch.equal(rounded, weight)
        (gradient,) = torch.autograd.grad(rounded.sum(), weight)
        assert torch.equal(gradient, torch.ones_like(weight))


def test_32_bits_change_nothing() -> None:
    weight = torch.randn(4, 64)
    assert round_weight(weight, 32, 32) is weight
    assert round_rows(weight, 32) is weight


def test_zero_weights_stay_zero() -> None:
    zeros = torch.zeros(3, 40)
    assert not quantize_int8(zeros).dequantize().any()
    assert not quantize_blocks(zeros, 4).dequantize().any()
