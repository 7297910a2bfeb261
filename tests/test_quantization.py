"""Number formats: errors within half a step, integers in range, steps near the best, gradients straight through."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import onnxruntime as ort
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.stats import norm
from torch import Tensor

from edgepack.errors import InputError
from edgepack.quantization import (
    BITS,
    FP32,
    INT2,
    INT3,
    INT4,
    INT8,
    OPERAND_MAX,
    SMALLEST_SCALE,
    TERNARY,
    WIDTHS,
    BitWidth,
    bit_width,
    codes_,
    quantize_blocks,
    quantize_centred_rows,
    quantize_int8,
    quantize_rows,
    round_activation,
    round_rows,
    round_weight,
    search_step,
    stored_scale,
)

ALLOWED = {TERNARY: (-1, 0, 1), INT2: (-3, -1, 1, 3), INT3: (-7, -5, -3, -1, 1, 3, 5, 7), INT4: tuple(range(-7, 8))}
SEARCHED = (TERNARY, INT2, INT3)
ROUNDED = (*SEARCHED, INT4, INT8)
HALF_FP16 = 2.0**-25  # half the distance of the smallest fp16 numbers: what storing a tiny scale can move it


@st.composite
def matrices(draw: st.DrawFn) -> Tensor:
    rows, columns = draw(st.integers(1, 7)), draw(st.integers(1, 70))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    scale = 10.0 ** draw(st.integers(-4, 3))
    return torch.randn(rows, columns, generator=generator) * scale


@given(matrices())
def test_int8_error_is_at_most_half_a_step(weight: Tensor) -> None:
    quantized = quantize_int8(weight)
    assert quantized.q.abs().max() <= OPERAND_MAX
    error = (quantized.dequantize() - weight).abs()
    assert (error <= quantized.scale[:, None] * 0.5001 + OPERAND_MAX * HALF_FP16).all()
    assert torch.equal(quantized.scale.half().float(), quantized.scale)
    exact = quantized.scale >= 2.0**-14  # fp16 keeps 11 bits: 63 codes move by 0.03 at most
    assert (quantized.q.abs().amax(1)[exact] == OPERAND_MAX).all()


@given(matrices(), st.integers(1, 40))
def test_int4_error_is_at_most_half_a_block_step(weight: Tensor, block_size: int) -> None:
    quantized = quantize_blocks(weight, INT4, block_size)
    assert quantized.q.abs().max() <= 7
    assert quantized.int8_operand().abs().max() <= OPERAND_MAX
    assert quantized.multiplier.min() >= 1
    assert quantized.multiplier.max() <= INT4.largest_multiplier
    steps = quantized.multiplier.float().repeat_interleave(block_size, 1)[:, : weight.shape[1]]
    step = steps * quantized.scale[:, None]
    # a block's step is rounded up to a multiple, but the last multiple may be a hair short of its largest value
    assert ((quantized.dequantize() - weight).abs() <= step * 0.501 + OPERAND_MAX * HALF_FP16).all()
    assert torch.equal(quantized.int8_operand().float() * quantized.scale[:, None], quantized.dequantize())


@given(matrices(), st.sampled_from([INT4, INT8]))
def test_row_error_is_at_most_half_a_step_and_the_stored_types_rounding(table: Tensor, width: BitWidth) -> None:
    quantized, bits = quantize_rows(table, width), width.bits
    assert quantized.q.max() <= 2**bits - 1
    assert quantized.scale.dtype == (torch.float16 if width == INT4 else torch.float32)
    assert torch.equal(quantized.scale.half().float(), quantized.scale.float())
    assert torch.equal(quantized.minimum.half().float(), quantized.minimum.float())
    spread = table.amax(1) - table.amin(1)
    stored = table.abs().amax(1) * 2e-3  # fp16 keeps 11 bits of scale and minimum
    allowed = spread / (2**bits - 1) * 0.51 + stored + 2**bits * HALF_FP16 + 2e-6
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


@given(matrices(), st.integers(1, 40), st.sampled_from(SEARCHED))
def test_searched_blocks_hold_allowed_codes_each_the_nearest(weight: Tensor, block_size: int, width: BitWidth) -> None:
    quantized = quantize_blocks(weight, width, block_size)
    assert set(quantized.q.unique().tolist()) <= set(ALLOWED[width])
    assert 1 <= quantized.multiplier.min() <= quantized.multiplier.max() <= width.largest_multiplier <= 15
    assert torch.equal(quantized.scale.half().float(), quantized.scale)
    assert quantized.int8_operand().abs().max() <= OPERAND_MAX
    steps = quantized.multiplier.float().repeat_interleave(block_size, 1)[:, : weight.shape[1]]
    step = steps * quantized.scale[:, None]
    levels = torch.tensor(ALLOWED[width]) * step[:, :, None]
    nearest = (levels - weight[:, :, None]).abs().amin(2)
    assert ((quantized.dequantize() - weight).abs() <= nearest + 1e-5 * step).all()


@given(matrices(), st.sampled_from(SEARCHED))
def test_centred_rows_hold_allowed_codes_and_a_byte_for_the_scale(table: Tensor, width: BitWidth) -> None:
    rows = quantize_centred_rows(table, width)
    assert rows.exponent.dtype == torch.uint8
    assert set(rows.q.unique().tolist()) <= set(ALLOWED[width])
    np.testing.assert_allclose(rows.scale, 2.0 ** ((rows.exponent.double().numpy() - 128) / 16), rtol=1e-6)
    step = search_step(table, width)
    within = (step > 2.0**-8) & (step < 2.0 ** (127 / 16))  # what a byte's exponents span
    ratio = (rows.scale / step)[within]
    assert (ratio.log2().abs() <= 1 / 32 + 1e-4).all()
    assert (rows.exponent[step < 2.0**-8.1] == 0).all()
    assert (rows.exponent[step > 2.0**8] == 255).all()
    levels = torch.tensor(ALLOWED[width]) * rows.scale[:, None, None]
    nearest = (levels - table[:, :, None]).abs().amin(2)
    assert ((rows.dequantize() - table).abs() <= nearest + 1e-5 * rows.scale[:, None]).all()


def squared_error(values: Tensor, step: Tensor, width: BitWidth) -> Tensor:
    """Mean squared error of each group `(groups, n)` at this step `(groups,)`, by trying every level."""
    levels = torch.tensor(ALLOWED[width]) * step[:, None, None]
    return (levels - values[:, :, None]).abs().amin(2).square().mean(1)


@given(matrices(), st.sampled_from(SEARCHED))
def test_least_squares_never_loses_to_the_normal_distributions_step(values: Tensor, width: BitWidth) -> None:
    assert width.normal_step is not None
    normal = values.square().mean(1).sqrt() * width.normal_step
    found = squared_error(values, search_step(values, width), width)
    assert (found <= squared_error(values, normal, width) * (1 + 1e-4) + 1e-7 * values.square().mean(1)).all()


@pytest.mark.parametrize(("width", "levels", "table"), [(TERNARY, 3, 0.1902), (INT2, 4, 0.1188), (INT3, 8, 0.03744)])
def test_steps_and_errors_are_those_of_the_paper(width: BitWidth, levels: int, table: float) -> None:
    """Max 1960, table II: mean squared error of the best even quantizer of normal values."""

    def error(step: float) -> float:  # step in σ between neighbouring levels, centred on 0
        points = step * (np.arange(levels) - (levels - 1) / 2)
        edges = np.concatenate([[-12], (points[1:] + points[:-1]) / 2, [12]])
        parts = zip(points, edges[:-1], edges[1:], strict=True)
        return sum(quad(lambda x, p=p: (x - p) ** 2 * norm.pdf(x), low, high)[0] for p, low, high in parts)

    best = minimize_scalar(error, bounds=(0.1, 2), method="bounded")
    assert width.levels == levels
    assert width.normal_step is not None
    assert width.normal_step * width.code_step == pytest.approx(best.x, rel=2e-3)
    assert best.fun == pytest.approx(table, rel=2e-3)
    values = torch.from_numpy(norm.ppf((np.arange(50_000) + 0.5) / 50_000)).float()[None]
    assert squared_error(values, search_step(values, width), width).item() == pytest.approx(table, rel=5e-3)


# at 3 bits two refinements stop some percent above the best step of a block of 32
@pytest.mark.parametrize(("width", "factor"), [(TERNARY, 1.04), (INT2, 1.03), (INT3, 1.15)])
@pytest.mark.parametrize("heavy_tails", [False, True])
def test_error_of_a_block_is_near_that_of_the_best_step(width: BitWidth, factor: float, heavy_tails: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(64, 8 * 32, generator=generator)
    if heavy_tails:  # a normal whose variance is exponential is a Laplace distribution
        values *= torch.empty_like(values).exponential_(generator=generator).sqrt()
    groups = values.view(-1, 32)
    tried = torch.linspace(0.05, 1.2, 150)[:, None] * groups.abs().amax(1)
    best = torch.stack([squared_error(groups, step, width) for step in tried]).amin(0).mean()
    blocks = (quantize_blocks(values, width, 32).dequantize() - values).square().mean()
    rows = (quantize_centred_rows(groups / 8, width).dequantize() * 8 - groups).square().mean()
    assert best <= blocks <= factor * best
    assert best * 0.999 <= rows <= factor * best  # tried steps are 1 % apart or less


def test_every_bit_more_loses_less() -> None:
    weight = torch.randn(16, 128, generator=torch.Generator().manual_seed(2))
    errors = [(round_weight(weight, width, 32) - weight).square().mean().item() for width in ROUNDED]
    tables = [(round_rows(weight, width) - weight).square().mean().item() for width in ROUNDED]
    for losses in (errors, tables):
        assert all(after < before / 1.5 for before, after in pairwise(losses))


@pytest.mark.parametrize("width", ROUNDED, ids=str)
def test_a_row_is_rounded_alone(width: BitWidth) -> None:
    table = torch.randn(20, 24, generator=torch.Generator().manual_seed(3))
    ids = torch.tensor([[3, 3, 0], [19, 7, 1]])
    # sums in another order may put a searched scale on the other side of a tie: a sixteenth of an octave, 4.4 %
    near = 0.05 if width.centred else 0
    torch.testing.assert_close(round_rows(table[ids], width), round_rows(table, width)[ids], rtol=near, atol=0)
    assert torch.equal(round_weight(table, width, 8)[4:9], round_weight(table[4:9], width, 8))


def test_activations_are_rounded_as_the_runtime_does() -> None:
    """`DynamicQuantizeLinear` of ONNX, the operator itself, on one example at a time."""
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "y")]
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "rounding", tensors[:1], tensors[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(4)
    x = torch.stack(
        [torch.randn(6, 10, generator=generator) * size + shift for size, shift in ((1, 0), (3, 9), (2, -7))]
    )
    expected = np.stack([session.run(None, {"x": example.numpy()})[0] for example in x])
    np.testing.assert_allclose(round_activation(x).numpy(), expected, rtol=0, atol=2e-6)


def test_with_first_only_the_first_token_is_rounded_as_if_alone_and_the_others_are_cut_to_its_range() -> None:
    x = torch.randn(4, 7, 12, generator=torch.Generator().manual_seed(5))
    x[:, 1:] *= 10
    rounded = round_activation(x, first_only=True)
    assert torch.equal(rounded[:, :1], round_activation(x[:, :1]))
    assert not torch.equal(rounded[:, :1], round_activation(x)[:, :1])
    low, high = (extreme.view(4, 1, 1) for extreme in (x[:, 0].amin(1).clamp(max=0), x[:, 0].amax(1).clamp(min=0)))
    step = (high - low) / 255
    expected = torch.maximum(torch.minimum(x, high), low)
    assert ((rounded - expected).abs() <= 1.01 * step).all()
    assert torch.equal(round_activation(x[:, :1], first_only=True), round_activation(x[:, :1]))


@pytest.mark.parametrize("first_only", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_fused_pass_of_training_rounds_as_the_plain_one(first_only: bool, dtype: torch.dtype) -> None:
    x = (torch.randn(6, 9, 16, generator=torch.Generator().manual_seed(8)) * 3 + 1).to(dtype).requires_grad_()
    plain = round_activation(x, first_only)
    with torch.autocast("cpu", torch.bfloat16):
        fused = round_activation(x, first_only)
    assert fused.dtype == dtype
    same = torch.isclose(fused.float(), plain.float(), rtol=0, atol=2e-6)
    assert same.float().mean() > 0.99  # a tie may fall to the other side: a reciprocal stands for the division
    seen = (x[:, :1] if first_only else x).detach().float().flatten(1)
    step = (seen.amax(1).clamp(min=0) - seen.amin(1).clamp(max=0)) / 255
    assert ((fused - plain).float().abs().amax((1, 2)) <= 1.01 * step + 0.05 * (dtype == torch.bfloat16)).all()
    (gradient,) = torch.autograd.grad(fused.sum(), x)
    assert torch.equal(gradient, torch.ones_like(x))


@pytest.mark.parametrize("width", ROUNDED, ids=str)
def test_gradients_pass_straight_through(width: BitWidth) -> None:
    weight = torch.randn(4, 64, generator=torch.Generator().manual_seed(6), requires_grad=True)
    for rounded in (round_weight(weight, width, 32), round_rows(weight, width), round_activation(weight)):
        assert not torch.equal(rounded, weight)
        (gradient,) = torch.autograd.grad((rounded * torch.arange(64)).sum(), weight)
        assert torch.equal(gradient, torch.arange(64.0).expand(4, 64))


def test_gradients_pass_straight_through_what_the_first_tokens_range_cuts_off() -> None:
    x = (torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(7)) * 10).requires_grad_()
    (gradient,) = torch.autograd.grad(round_activation(x, first_only=True).sum(), x)
    assert torch.equal(gradient, torch.ones_like(x))


def test_32_bits_change_nothing() -> None:
    weight = torch.randn(4, 64)
    assert round_weight(weight, FP32, 32) is weight
    assert round_rows(weight, FP32) is weight


@pytest.mark.parametrize("width", [TERNARY, INT4], ids=str)
def test_zero_weights_stay_zero(width: BitWidth) -> None:
    zeros = torch.zeros(3, 40)
    assert not quantize_int8(zeros).dequantize().any()
    assert not quantize_blocks(zeros, width).dequantize().any()
    assert not round_rows(zeros, width).any()


@pytest.mark.parametrize("width", [INT2, INT3], ids=str)
def test_zero_weights_without_a_zero_code_are_the_smallest_number(width: BitWidth) -> None:
    zeros = torch.zeros(3, 40)
    assert (quantize_blocks(zeros, width).dequantize().abs() == SMALLEST_SCALE).all()
    assert (quantize_centred_rows(zeros, width).dequantize().abs() == 2.0**-8).all()


def test_a_stored_scale_is_the_nearest_fp16_number_and_never_zero() -> None:
    scale = torch.tensor([0.0, 1e-12, 1.0, 0.1, 1 / 3])
    expected = np.array([SMALLEST_SCALE, SMALLEST_SCALE, *np.array([1.0, 0.1, 1 / 3], np.float16)], np.float32)
    np.testing.assert_array_equal(stored_scale(scale).numpy(), expected)


@pytest.mark.parametrize("width", [width for width in WIDTHS.values() if width.is_rounded], ids=str)
@pytest.mark.parametrize("columns", [32, 45])
def test_training_sees_exactly_what_files_hold_and_its_gradient_passes_through(width: BitWidth, columns: int) -> None:
    weight = torch.randn(6, columns, generator=torch.Generator().manual_seed(0)).requires_grad_()
    held = quantize_blocks(weight.detach(), width) if width.in_blocks else quantize_int8(weight.detach())
    rounded = round_weight(weight, width, 32)
    assert torch.equal(rounded, held.dequantize())
    factor = torch.randn(6, columns, generator=torch.Generator().manual_seed(1))
    (rounded * factor).sum().backward()
    assert torch.equal(weight.grad, factor)


@given(st.sampled_from([*SEARCHED, INT4]), st.floats(-20, 20))
def test_a_code_is_the_nearest_that_the_width_allows(width: BitWidth, x: float) -> None:
    code = codes_(torch.tensor(x), width).item()
    assert code in ALLOWED[width]
    assert abs(code - x) <= min(abs(allowed - x) for allowed in ALLOWED[width]) + 1e-6


@pytest.mark.parametrize("width", WIDTHS.values(), ids=str)
def test_a_width_is_read_from_what_configs_write_and_knows_its_name(width: BitWidth) -> None:
    assert bit_width(width.bits) == width
    assert str(width) == width.name
    assert width.is_rounded == (width != FP32)
    assert width.in_blocks == (width in ALLOWED)
    assert width.centred == (width in SEARCHED)


def test_names_and_numbers_of_all_widths() -> None:
    names = {width.bits: width.name for width in WIDTHS.values()}
    assert names == {1: "ternary", 2: "int2", 3: "int3", 4: "int4", 8: "int8", 32: "fp32"}
    assert tuple(names) == BITS


@given(st.integers().filter(lambda bits: bits not in BITS))
def test_no_other_number_is_a_width(bits: int) -> None:
    with pytest.raises(InputError, match=f"bit width is {bits}; allowed: 1, 2, 3, 4, 8, 32"):
        bit_width(bits)


@pytest.mark.parametrize("width", ALLOWED, ids=str)
def test_codes_of_a_width_are_evenly_spread_and_fill_an_operand(width: BitWidth) -> None:
    allowed = ALLOWED[width]
    assert {after - before for before, after in pairwise(allowed)} == {width.code_step}
    assert -allowed[0] == allowed[-1] == width.largest_code
    assert width.levels - 1 <= len(allowed) <= width.levels  # the 16th level of 4 bits is a table's alone
    assert 1 <= width.largest_multiplier <= 15
    assert width.largest_code * width.largest_multiplier <= OPERAND_MAX
    fits = width.largest_code * (width.largest_multiplier + 1) <= OPERAND_MAX
    assert not fits or width.largest_multiplier == 15  # what four bits hold


@given(st.sampled_from(ROUNDED), st.integers(0, 5000))
def test_packed_bytes_hold_the_codes_and_hardly_more(width: BitWidth, count: int) -> None:
    size = width.packed_bytes(count)
    assert width.levels**count <= 256**size
    parts = 1 if width.digits_per_byte else len(width.planes)  # each ends in a byte of its own
    assert count * width.stored_bits / 8 <= size < count * width.stored_bits / 8 + parts
    assert width.codes_per_byte * width.stored_bits == pytest.approx(8)
    assert sum(width.planes) in (0, width.bits)
