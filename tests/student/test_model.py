"""The encoder: what a last layer of one token computes, which numbers are rounded and how, and where widths apply."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

from edgepack.errors import InputError
from edgepack.quantization import INT8, bit_width, quantize_centred_rows, quantize_int8, round_activation, round_weight
from edgepack.student.config import StudentConfig, changed_config
from edgepack.student.linear import QuantizedLinear
from edgepack.student.model import Student, matrix_name
from edgepack.student.relative_positions import bucket_by_distance, relative_buckets

HIDDEN, HEADS, SIZE, LABELS = 24, 2, 8, 5


def make_student(body_bits: int = 32, embedding_bits: int = 32, **fields: Any) -> Student:
    shape: dict[str, Any] = {
        "vocab_size": 40,
        "embedding_size": 10,
        "hidden_size": HIDDEN,
        "num_hidden_layers": 2,
        "num_heads": [HEADS, HEADS],
        "head_sizes": [SIZE, SIZE],
        "intermediate_sizes": [20, 20],
        "max_position_embeddings": 16,
        "num_labels": LABELS,
    }
    torch.manual_seed(0)
    student = Student(StudentConfig(**(shape | fields))).eval()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    student.set_bits(body_bits, embedding_bits)
    return student


def linear(module: Any, x: Tensor, bits: int) -> Tensor:
    """A rounded layer on a token that is there alone: no `first_only` is needed."""
    weight = round_weight(module.weight, bit_width(bits), 32)
    return torch.nn.functional.linear(round_activation(x), weight, module.bias)


@pytest.mark.parametrize("bits", [8, 4, 2, 1])
def test_the_last_layer_computes_what_the_first_token_alone_gives(bits: int) -> None:
    """Query, output and feed-forward of one token, rounded by its own range, against keys and values of all."""
    student = make_student(bits, 8)
    ids = torch.randint(0, 40, (3, 9))
    with torch.no_grad():
        out = student(ids, output_hidden_states=True)
        x, first = out.hidden_states[-2], out.hidden_states[-2][:, :1]
        attention: Any = student.attention[1]
        network: Any = student.feed_forward[1]
        query = linear(attention.query.full, first, bits).view(3, 1, HEADS, SIZE).transpose(1, 2)
        key = linear(attention.key.full, x, bits).view(3, 9, HEADS, SIZE).transpose(1, 2)
        value = linear(attention.value.full, x, bits).view(3, 9, HEADS, SIZE).transpose(1, 2)
        weights = torch.softmax(query @ key.transpose(2, 3) / math.sqrt(SIZE), dim=-1)
        context = (weights @ value).transpose(1, 2).reshape(3, 1, HEADS * SIZE)
        y = student.attention_norms[1](first + linear(attention.output.full, context, bits))
        inner = torch.nn.functional.gelu(linear(network.up.full, y, bits))
        y = student.ffn_norms[1](y + linear(network.down.full, inner, bits))
        head: Any = student.head
        logits = linear(head.classifier, torch.tanh(linear(head.dense, y[:, 0], bits)), bits)
    torch.testing.assert_close(out.hidden_states[-1][:, :1], y, rtol=0, atol=1e-5)
    torch.testing.assert_close(out.logits, logits, rtol=0, atol=1e-5)


def test_only_a_head_of_one_token_has_such_a_layer() -> None:
    assert make_student().config.first_token_layer == 1
    tags = make_student(8, 8, task="token-classification", head_act=None)
    assert tags.config.first_token_layer is None
    ids = torch.randint(0, 40, (1, 7))
    with torch.no_grad():
        states = tags(ids, output_hidden_states=True).hidden_states
        x = states[-2]
        got = tags.attention[1](x, torch.zeros(1, 1, 1, 7), None)
        cut = tags.attention[1](x, torch.zeros(1, 1, 1, 7), None, first_only=True)
    assert (got - cut).abs().max() > 1e-4  # the two round by different ranges
    with torch.no_grad():
        y = tags.attention_norms[1](x + got)
        torch.testing.assert_close(tags.ffn_norms[1](y + tags.feed_forward[1](y)), states[-1])


def test_round_vectors_makes_fp16_numbers_of_all_but_matrices_and_tables() -> None:
    student = make_student(8, 8, type_vocab_size=2, relative_attention_buckets=8, projection_bias=True)
    before = {name: parameter.detach().clone() for name, parameter in student.named_parameters()}
    student.round_vectors()
    kept = {f"{name}.weight" for name, module in student.named_modules() if isinstance(module, QuantizedLinear)}
    kept |= {"embeddings.word.weight", "embeddings.position.weight"}
    for name, parameter in student.named_parameters():
        old = before[name].numpy()
        expected = old if name in kept else old.astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(parameter.detach().numpy(), expected, err_msg=name)
        assert parameter.requires_grad
    assert "attention.0.relative_bias" in before.keys() - kept
    assert all(not torch.equal(before[name].half().float(), before[name]) for name in before)  # it had work to do


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("attention.0.query.full", "attention.0.qkv"),
        ("attention.11.value.down", "attention.11.qkv.down"),
        ("attention.1.output.full", "attention.1.output"),
        ("feed_forward.0.up.down", "feed_forward.0.up.down"),
        ("embeddings.attention.key.full", "embeddings.attention.qkv"),
        ("embeddings.projection", "embeddings.projection"),
        ("head.dense", "head.dense"),
    ],
)
def test_name_of_a_matrix_in_the_widths(path: str, name: str) -> None:
    assert matrix_name(path) == name


def test_widths_reach_their_matrices_and_no_others() -> None:
    widths = {"attention.1": 2, "feed_forward.0.up": 3, "head.classifier": 8}
    student = make_student(4, 4, widths=widths, ranks={"query": [0, 3], "up": [4, 0]})
    bits = {name: module.width.bits for name, module in student.named_modules() if isinstance(module, QuantizedLinear)}
    for name, width in bits.items():
        if name.startswith("attention.1."):
            assert width == 2, name
        elif name.startswith("feed_forward.0.up"):
            assert width == 3, name
        else:
            assert width == (8 if name == "head.classifier" else 4), name
    assert {"attention.1.query.down", "feed_forward.0.up.up"} <= set(bits)
    student.set_bits(32, 32)
    assert {m.width.bits for m in student.modules() if isinstance(m, QuantizedLinear)} == {32}


def test_a_widths_name_is_a_whole_part_of_the_path() -> None:
    config = StudentConfig(num_hidden_layers=12, body_bits=4, widths={"attention.1": 2})
    assert config.width_of("attention.1.qkv").bits == 2
    assert config.width_of("attention.11.qkv").bits == config.width_of("attention.10.output").bits == 4


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_the_projection_of_a_centred_table_multiplies_codes(bits: int) -> None:
    """Integers times int8, then the row's scale and the channel's: nothing is rounded between."""
    student = make_student(8, bits)
    seen: list[Tensor] = []
    projection = student.embeddings.projection
    assert projection is not None
    assert projection.exact_input
    projection.register_forward_hook(lambda _, __, output: seen.append(output))
    ids = torch.randint(0, 40, (2, 6))
    with torch.no_grad():
        student(ids)
        rows, weight = (
            quantize_centred_rows(student.embeddings.word.weight, bit_width(bits)),
            quantize_int8(projection.weight),
        )
    products = rows.q[ids].numpy().astype(np.int64) @ weight.q.numpy().astype(np.int64).T
    expected = products * rows.scale[ids].double().numpy()[:, :, None] * weight.scale.double().numpy()
    np.testing.assert_allclose(seen[0].numpy(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("embedding_bits", "fields"), [(4, {}), (8, {}), (32, {}), (2, {"norm_before_projection": True})]
)
def test_other_inputs_of_the_projection_are_rounded(embedding_bits: int, fields: dict[str, Any]) -> None:
    projection = make_student(8, embedding_bits, **fields).embeddings.projection
    assert projection is not None
    assert not projection.exact_input
    x = torch.randn(2, 3, 10)
    with torch.no_grad():
        exact = torch.nn.functional.linear(x, round_weight(projection.weight, INT8, 32))
        assert (projection(x) - exact).abs().max() > 1e-4


@pytest.mark.parametrize(("embedding_bits", "position_bits"), [(32, 32), (8, 8), (4, 8), (3, 4), (2, 4), (1, 4)])
def test_positions_are_rounded_less_than_words(embedding_bits: int, position_bits: int) -> None:
    assert make_student(8, embedding_bits).config.small_table_width.bits == position_bits


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_every_parameter_learns_through_the_rounding(bits: int) -> None:
    student = make_student(bits, bits, type_vocab_size=2)
    ids = torch.randint(0, 40, (4, 9))
    student(ids, token_type_ids=ids % 2).logits.square().sum().backward()
    for name, parameter in student.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        if "key.full.bias" not in name:  # a bias of all keys moves no softmax
            assert parameter.grad.abs().max() > 1e-6, name


@pytest.mark.parametrize("bits", [32, 8, 2])
def test_padding_and_neighbours_change_nothing(bits: int) -> None:
    """Ranges are of each example, padding included, so only at 32 bits padding does not matter; neighbours never do."""
    student = make_student(bits, bits)
    ids, mask = torch.randint(0, 40, (2, 8)), torch.ones(2, 8, dtype=torch.int64)
    with torch.no_grad():
        both, alone = student(ids, mask).logits[:1], student(ids[:1], mask[:1]).logits
        torch.testing.assert_close(both, alone, rtol=0, atol=1e-5)
        if bits == 32:
            mask[1, 5:] = 0
            short = student(ids[1:, :5]).logits
            torch.testing.assert_close(student(ids, mask).logits[1:], short, rtol=0, atol=1e-5)


def test_relative_buckets_are_mpnets() -> None:
    positions = torch.arange(60)
    relative = positions[None, :] - positions[:, None]  # key − query
    expected = MPNetEncoder.relative_position_bucket(relative, num_buckets=32, max_distance=40)
    assert torch.equal(relative_buckets(60, 32, 40), expected)


@pytest.mark.parametrize(("positions", "buckets", "most"), [(60, 32, 40), (5, 8, 12), (1, 8, 12)])
def test_buckets_by_distance_are_those_of_the_pairs(positions: int, buckets: int, most: int) -> None:
    fields = {"max_position_embeddings": positions, "relative_attention_buckets": buckets}
    config = StudentConfig(num_hidden_layers=1, relative_attention_max_distance=most, **fields)
    at = torch.arange(positions)
    found = bucket_by_distance(config)[at[:, None] - at[None, :] + positions - 1]
    assert torch.equal(found, relative_buckets(positions, buckets, most))


@pytest.mark.parametrize("field", ["body_bits", "embedding_bits"])
@pytest.mark.parametrize("bits", [0, 5, 16, -1])
def test_other_widths_are_refused(field: str, bits: int) -> None:
    with pytest.raises(InputError, match=f"{field} is {bits}; allowed: 1, 2, 3, 4, 8, 32"):
        StudentConfig(num_hidden_layers=1, **{field: bits})


def test_widths_outlive_the_file(tmp_path: Path) -> None:
    config = make_student(4, 2, widths={"head.dense": 8}).config
    config.save_pretrained(tmp_path)
    again = StudentConfig.from_pretrained(tmp_path)
    assert (again.widths, again.body_bits, again.embedding_bits) == ({"head.dense": 8}, 4, 2)
    assert changed_config(again, body_bits=8).widths == {"head.dense": 8}


EMBEDS = {"task": "feature-extraction", "head_act": None}


@pytest.mark.parametrize("pooling", ["first", "mean", "last"])
def test_a_vector_is_pooled_from_the_real_tokens_alone(pooling: str) -> None:
    student = make_student(**EMBEDS, pooling=pooling)
    ids = torch.randint(1, 40, (2, 9))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    with torch.no_grad():
        padded = student(ids, mask)
        alone = student(ids[1:, :5], output_hidden_states=True)
    torch.testing.assert_close(padded.logits[1:], alone.logits, rtol=0, atol=1e-5)
    tokens = alone.hidden_states[-1][0]
    expected = {"first": tokens[0], "mean": tokens.mean(0), "last": tokens[-1]}[pooling]
    torch.testing.assert_close(alone.logits[0], expected, rtol=0, atol=1e-5)


def test_a_vector_goes_through_its_layer_and_activation_and_is_divided_by_its_length() -> None:
    student = make_student(task="feature-extraction", head_act="tanh", pooling="mean", vector_size=6, normalized=True)
    ids = torch.randint(1, 40, (3, 7))
    with torch.no_grad():
        out = student(ids, output_hidden_states=True)
        head: Any = student.head
        whole = torch.tanh(head.classifier(out.hidden_states[-1].mean(1)))
    torch.testing.assert_close(out.logits, whole / whole.norm(dim=-1, keepdim=True), rtol=0, atol=1e-5)
    assert student.config.outputs == 6


def test_only_vectors_are_pooled_otherwise_than_from_the_first_token() -> None:
    with pytest.raises(InputError, match="only feature-extraction has these"):
        make_student(pooling="mean")
    with pytest.raises(InputError, match="pooling is 'max'; allowed: first, mean, last"):
        make_student(**EMBEDS, pooling="max")
