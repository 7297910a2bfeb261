"""An estimate of how fast a shape is compared with its teacher, which the plan needs before there is a file to time.

Microseconds at 32 tokens, one thread, ONNX Runtime 1.32 on x86 with AVX-512 VNNI: a constant, a price for each layer
(its nodes and element-wise work), and a price for each weight that every token is multiplied with. The constants were
fitted to 13 students of a 6 × 384 teacher (2 to 6 layers, 1 to 4 heads, 64 to 512 FFN units; all within 8 %) and to
that teacher's int8 model; only ratios are used, which move less between machines than times do. What an artifact's
latency really is, `validate` measures.
"""

from __future__ import annotations

from edgepack.student.config import StudentConfig

WEIGHT = 0.193e-3  # µs for each weight of a matrix that all tokens go through
STUDENT_LAYER, STUDENT_FIXED = 47.0, 62.0
FIRST_TOKEN_LAYER = 69.0  # a last layer of which the head reads one token, without its keys and values
TEACHER_LAYER, TEACHER_FIXED = 120.0, 60.0  # ONNX Runtime's own int8 model of the teacher
SPEED_POWER = 0.64  # a model k times smaller than the teacher's int8 file should be k^0.64 times as fast


def layer_weights(heads: int, head_size: int, ffn: int, hidden: int) -> int:
    """Weights of one layer's matrices."""
    return hidden * (4 * heads * head_size + 2 * ffn)


def student_time(layers: int, heads: int, head_size: int, ffn: int, hidden: int, labels: int) -> float:
    """Estimated µs; `labels`: of each token, 0 where the head reads the first token alone.

    Then the last layer makes keys and values of all tokens, the rest of one.
    """
    weights = layer_weights(heads, head_size, ffn, hidden)
    if labels:
        return STUDENT_FIXED + layers * (STUDENT_LAYER + WEIGHT * weights) + WEIGHT * hidden * labels
    last = FIRST_TOKEN_LAYER + WEIGHT * 2 * heads * head_size * hidden
    return STUDENT_FIXED + (layers - 1) * (STUDENT_LAYER + WEIGHT * weights) + last


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
