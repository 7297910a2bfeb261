"""Steps of blocks as parameters: where they begin, what gradients say of them, and what a file keeps of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from edgepack.quantization import BitWidth, bit_width, quantize_blocks, round_weight
from edgepack.student.linear import LearnedSteps, QuantizedLinear, round_together
from edgepack.student.model import Student
from edgepack.train.optimizer import make_optimizer
from tests.student.test_model import make_student

BELOW_8 = [4, 3, 2, 1]
BLOCK = 8


def make_linear(bits: int, columns: int = 20) -> QuantizedLinear:
    torch.manual_seed(3)
    linear = QuantizedLinear(columns, 6)
    linear.width, linear.block_size = bit_width(bits), BLOCK
    linear.learn_steps()
    return linear


def spread(weight: Tensor, log_step: Tensor, width: BitWidth) -> Tensor:
    """Equation 3's surrogate in plain autograd: codes as constants within the range, the outermost ones beyond it."""
    step = log_step.exp().repeat_interleave(BLOCK, dim=1)[:, : weight.shape[1]]
    scaled = weight / step
    half = width.code_step / 2
    codes = torch.round(scaled) if width.code_step == 1 else torch.floor(scaled / 2) * 2 + 1
    most = width.largest_code
    inside = scaled + (codes - scaled).detach()
    return torch.where(scaled.abs() <= most + half, inside, torch.sign(scaled).detach() * most) * step


@pytest.mark.parametrize("bits", BELOW_8)
def test_gradients_are_those_of_the_paper(bits: int) -> None:
    linear = make_linear(bits)
    assert linear.log_step is not None
    with torch.no_grad():
        linear.log_step[0].sub_(1.5)  # a row that is clipped
        # steps that the format holds as they are, for the surrogate knows no stored multipliers
        blocks = quantize_blocks(linear.weight, linear.width, BLOCK, linear.log_step.exp())
        linear.log_step.copy_((blocks.multiplier * blocks.scale[:, None]).log())
    toward = torch.randn(6, 20)
    (linear.rounded_weight() * toward).sum().backward()
    weight = linear.weight.detach().clone().requires_grad_()
    log_step = linear.log_step.detach().clone().requires_grad_()
    expected = spread(weight, log_step, linear.width)
    (expected * toward).sum().backward()
    assert torch.allclose(linear.rounded_weight(), expected, atol=1e-5)
    assert weight.grad is not None
    assert log_step.grad is not None
    assert linear.weight.grad is not None
    assert (linear.weight.grad == 0).any()
    assert torch.allclose(linear.weight.grad, weight.grad, atol=1e-6)
    assert torch.allclose(linear.log_step.grad, log_step.grad, atol=1e-4)


@pytest.mark.parametrize("bits", [3, 2, 1])
def test_steps_begin_where_the_weights_have_them(bits: int) -> None:
    linear = make_linear(bits)
    assert torch.allclose(linear.rounded_weight(), round_weight(linear.weight, linear.width, BLOCK), atol=1e-6)


def test_layers_rounded_together_are_those_rounded_alone() -> None:
    linears = [make_linear(2), make_linear(2)]
    assert torch.equal(round_together(linears), torch.cat([linear.rounded_weight() for linear in linears]))


def test_a_width_without_blocks_does_not_use_the_steps() -> None:
    student = make_student(2, 4)
    student.learn_scales()
    student.set_bits(8, 8)
    plain = make_student(8, 8)
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(student(ids).logits, plain(ids).logits)
    student(ids).logits.sum().backward()
    assert all(matrix.log_step is not None and matrix.log_step.grad is None for matrix in student.matrices())


def test_a_folder_holds_them_and_they_can_be_forgotten(tmp_path: Path) -> None:
    student = make_student(2, 4)
    chosen = student(torch.tensor([[1, 2, 3]])).logits
    student.learn_scales()
    with torch.no_grad():
        for matrix in student.matrices():
            assert matrix.log_step is not None
            matrix.log_step.add_(0.2 * torch.randn_like(matrix.log_step))
    learned = student(torch.tensor([[1, 2, 3]])).logits
    assert not torch.allclose(learned, chosen)
    student.save_pretrained(tmp_path)
    again = Student.from_pretrained(tmp_path).eval()
    assert again.config.learned_scales
    assert torch.equal(again(torch.tensor([[1, 2, 3]])).logits, learned)
    again.forget_scales()
    assert torch.equal(again(torch.tensor([[1, 2, 3]])).logits, chosen)
    again.save_pretrained(tmp_path / "plain")
    assert not any("log_step" in name for name in Student.from_pretrained(tmp_path / "plain").state_dict())


def test_steps_are_not_decayed() -> None:
    student = make_student(2, 4)
    student.learn_scales()
    decayed, others = (group["params"] for group in make_optimizer(student, 0.01).param_groups)
    steps = {id(matrix.log_step) for matrix in student.matrices()}
    assert not steps & {id(parameter) for parameter in decayed}
    assert steps <= {id(parameter) for parameter in others}


def test_half_precision_weights_keep_their_type() -> None:
    linear = make_linear(2)
    weight = linear.weight.detach().to(torch.bfloat16).requires_grad_()
    rounded = LearnedSteps.apply(weight, linear.log_step, linear.width, BLOCK)
    assert rounded.dtype == torch.bfloat16
    rounded.sum().backward()
    assert weight.grad is not None
    assert weight.grad.dtype == torch.bfloat16
