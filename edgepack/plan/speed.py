"""An estimate of how fast a shape is, which the plan needs before there is a file to time.

Microseconds of one text, one thread: a constant, a price for each layer (its nodes), one for each weight however long
the text is (it is fetched once), and prices for what every token takes: each layer that it goes through, each weight
that it is multiplied with, each number that a norm or a product makes of it, each pair of tokens in attention. Time is
linear in the prices, so `speed_fit.py` finds those of a machine from models that were timed there (`edgepack profile`).

The built-in prices are of 32 tokens in ONNX Runtime 1.32 on x86 with AVX-512 VNNI, fitted to 13 students of a 6 × 384
teacher (2 to 6 layers, 1 to 4 heads, 64 to 512 FFN units; all within 8 %) and to that teacher's int8 model. Of these
only ratios are used, which move less between machines than times do. What an artifact's latency really is, `validate`
measures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgepack.student.config import StudentConfig

TOKENS = 32  # at which shapes are compared with the teacher
WEIGHT = 0.193e-3  # µs for each weight of a matrix that all of these tokens go through
TEACHER_LAYER, TEACHER_FIXED = 120.0, 60.0  # ONNX Runtime's own int8 model of the teacher
SPEED_POWER = 0.64  # a model k times smaller than the teacher's int8 file should be k^0.64 times as fast


@dataclass(frozen=True)
class Prices:
    """What a runtime on a machine takes for the parts of a student, in µs.

    `products`: of a weight, for each token that it is multiplied with, by bit width; `weight`: of it, whatever the
    tokens. `head`: of one that reads the first token alone. `row`: of a token in a layer. `norm`: of a hidden unit of a
    token, for each norm on its way. `element`: of each other number that a layer makes of a token, in attention and
    FFN. `score`: of an attention unit, for each pair of tokens.
    """

    products: Mapping[int, float]
    fixed: float = 0.0
    layer: float = 0.0
    head: float = 0.0
    weight: float = 0.0
    row: float = 0.0
    norm: float = 0.0
    element: float = 0.0
    score: float = 0.0

    def of_weight(self, bits: int, tokens: int) -> float:
        """The price of a weight of this bit width that so many tokens are multiplied with."""
        return self.weight + tokens * near(self.products, bits)


def near(prices: Mapping[int, float], bits: int) -> float:
    """The price at this bit width: its own, else that of the next wider one known, else of the widest."""
    return prices[min((known for known in prices if known >= bits), default=max(prices))]


BUILT_IN = Prices({8: WEIGHT / TOKENS}, fixed=62.0, layer=47.0, head=22.0)


def layer_weights(heads: int, head_size: int, ffn: int, hidden: int) -> int:
    """Weights of one layer's matrices."""
    return hidden * (4 * heads * head_size + 2 * ffn)


@dataclass(frozen=True)
class BodyShape:
    """What a body's time depends on; `labels`: of each token, 0 where the head reads the first token alone."""

    layers: int
    heads: int
    head_size: int
    ffn: int
    hidden: int
    labels: int
    bits: int = 8


def student_time(body: BodyShape, prices: Prices = BUILT_IN, tokens: int = TOKENS) -> float:
    """Estimated µs without the embedding's projection.

    Where the head reads the first token alone, the last layer makes keys and values of all tokens, the rest of one.
    """
    units, hidden = body.heads * body.head_size, body.hidden
    weights, each = layer_weights(body.heads, body.head_size, body.ffn, hidden), prices.of_weight(body.bits, tokens)
    token = prices.row + 2 * hidden * prices.norm + (3 * units + body.ffn) * prices.element
    layer = prices.layer + each * weights + tokens * (token + tokens * units * prices.score)
    way_in = prices.fixed + tokens * hidden * prices.norm
    if body.labels:
        return way_in + body.layers * layer + each * hidden * body.labels
    keys = 2 * units  # and values
    last = prices.layer + each * keys * hidden + tokens * (prices.row + keys * prices.element)
    return way_in + (body.layers - 1) * layer + last + prices.weight * (weights - keys * hidden) + prices.head


def projection_weights(embedding: int, hidden: int) -> int:
    """Weights on the way from the embedding size to the hidden size, where these differ."""
    return embedding * hidden if embedding != hidden else 0


def teacher_time(full: StudentConfig) -> float:
    """Estimated µs of the teacher's int8 model."""
    layers = sum(TEACHER_LAYER + WEIGHT * weights for weights in teacher_weights(full))
    return TEACHER_FIXED + layers + WEIGHT * full.hidden_size * token_labels(full)


def token_labels(full: StudentConfig) -> int:
    """Labels that each token is scored for; 0 where only the first token is."""
    return full.num_labels if full.per_token else 0


def teacher_weights(full: StudentConfig) -> list[int]:
    """Weights that each layer multiplies with, shared ones in every layer that uses them."""
    heads, sizes, units = full.num_heads or [], full.head_sizes or [], full.intermediate_sizes or []
    return [
        layer_weights(heads[attention], sizes[attention], units[ffn], full.hidden_size)
        for attention, ffn in zip(full.attention_sharing or [], full.ffn_sharing or [], strict=True)
    ]


def teacher_bytes(full: StudentConfig) -> int:
    """Bytes of the teacher at one byte a weight: tables, and each weight set once."""
    body = sum(
        full.hidden_size * 4 * heads * size
        for heads, size in zip(full.num_heads or [], full.head_sizes or [], strict=True)
    )
    body += sum(full.hidden_size * 2 * units for units in full.intermediate_sizes or [])
    tables = full.vocab_size * full.embedding_size + full.max_position_embeddings * full.sum_size
    return body + tables


def speed_goal(full: StudentConfig, budget_bytes: int) -> float:
    """How many times as fast as the teacher's int8 model a student of this budget should be; at least 1."""
    return max(1.0, (teacher_bytes(full) / budget_bytes) ** SPEED_POWER)
