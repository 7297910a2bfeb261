"""Where each number of a student lies in a TorchScript artifact, from the config alone.

`torchscript_program.MobileEncoder` reads its shape from these options and lists and cuts its weights out
of flat tensors of these sizes. The exporter fills the tensors, the planner adds up their bytes; both ask
here, so they cannot disagree. What a student is made of is noted on a walk of the encoder; the program, which is the
same in every file, has its own order of slots, described in `torchscript_program`. A matrix or a norm that it has no
place for is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgepack.errors import InputError
from edgepack.export.encoder_walk import SELF_ATTENTIVE, Attention, EncoderWalk, FeedForward, Table, wide_table
from edgepack.export.linear import Linear
from edgepack.export.matrix_format import MatrixFormat, packed_format
from edgepack.quantization import FP32, INT4, INT8, BitWidth, number_of_blocks
from edgepack.student.config import ACTIVATIONS, ATTENTION_MATRICES, FFN_MATRICES, StudentConfig
from edgepack.task.similarity import EMBEDS

BODY_ELEMENTS = {FP32: "float32", INT8: "int8", INT4: "uint8"}  # at 4 bits two to a byte
ROW_TAIL_BYTES = {INT8: 8, INT4: 4}  # scale and minimum behind a row's codes: two fp32, two fp16


@dataclass(frozen=True)
class Layout:
    """What `MobileEncoder` needs apart from the numbers themselves, and which numbers they are.

    `words` and `positions` are table shapes. `linears`, `norms` (paths) and `relative` (paths of biases) are in the
    order in which the flat tensors hold them.
    """

    options: dict[str, int]
    lists: dict[str, list[int]]
    integers: int
    floats: int
    words: tuple[int, int]
    positions: tuple[int, int]
    buckets: int
    body: BitWidth
    linears: tuple[Linear, ...]
    norms: tuple[str, ...]
    relative: tuple[str, ...]

    def tensors(self) -> list[tuple[str, tuple[int, ...]]]:
        """Element type and shape of the flat tensors, in the order of the state."""
        table = "float32" if self.options["embedding_bits"] == FP32.bits else "uint8"
        return [
            (BODY_ELEMENTS[self.body], (self.integers,)),
            ("float32", (self.floats,)),
            (table, self.words),
            (table, self.positions),
            ("uint8", (self.buckets,)),
        ]


class Parts(EncoderWalk[None]):
    """A walk that notes what a student is made of, each thing once, and which sets its layers use."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__(config)
        self.tables: dict[str, Table] = {}
        self.linears: dict[str, Linear] = {}
        self.attentions: list[Attention] = []
        self.feed_forwards: list[FeedForward] = []
        self.norms: list[tuple[str, int]] = []
        self.logits()

    def rows(self, table: Table) -> None:
        self.tables[table.index] = table

    def linear(self, tag: str, x: None, linear: Linear) -> None:
        self.linears[linear.name] = linear

    def attention(self, tag: str, x: None, attention: Attention) -> None:
        self.attentions.append(attention)
        chains = attention.inputs if attention.joined is None else ((attention.joined,),)
        for chain in (*chains, attention.output):
            self.chain(tag, x, chain)

    def feed_forward(self, tag: str, x: None, feed_forward: FeedForward) -> None:
        self.feed_forwards.append(feed_forward)
        super().feed_forward(tag, x, feed_forward)

    def norm(self, tag: str, x: None, path: str, size: int) -> None:
        self.norms.append((path, size))

    def add(self, tag: str, x: None, y: None) -> None:
        pass

    def activation(self, tag: str, x: None, act: str) -> None:
        pass

    def first(self, tag: str, x: None) -> None:
        pass

    def mean(self, tag: str, x: None, last: bool) -> None:
        pass

    def unit(self, tag: str, x: None) -> None:
        pass

    def sum_neighbours(self, tag: str, x: None, places: Sequence[int]) -> None:
        pass

    def matches(self, tag: str, path: str, separator: int) -> None:
        pass


def layout(config: StudentConfig) -> Layout:
    """The layout of a student of this shape at these bit widths."""
    parts = Parts(config)
    slots = _slots(config, parts)
    linears = tuple(linear for slot in slots for linear in slot)
    _check_places(parts, linears)
    scales = sum(linear.out_features for linear in linears) if config.body_width.is_rounded else 0
    biases = sum(linear.out_features for linear in linears if linear.bias)
    types = parts.tables["types"].rows * config.sum_size if config.type_vocab_size else 0
    heads = {attention.path: attention.heads for attention in parts.attentions if attention.relative}
    return Layout(
        options=_options(config),
        lists=_lists(config, parts, slots),
        integers=sum(_weight_elements(linear, config) for linear in linears),
        floats=scales
        + biases
        + 2 * sum(size for _, size in parts.norms)
        + types
        + config.relative_attention_buckets * sum(heads.values())
        + (0 if config.match_separator is None else config.hidden_size),
        words=row_shape(parts.tables["words"]),
        positions=row_shape(parts.tables["positions"]),
        buckets=2 * config.max_position_embeddings - 1 if config.relative_attention_buckets else 0,
        body=config.body_width,
        linears=linears,
        norms=tuple(path for path, _ in parts.norms),
        relative=tuple(path for path in _set_paths(config, "attention") if path in heads),
    )


def row_shape(table: Table) -> tuple[int, int]:
    """Shape of a table: rows of floats, or of the bytes of codes, scale and minimum."""
    if not table.width.is_rounded:
        return (table.rows, table.columns)
    return (table.rows, table.width.packed_bytes(table.columns) + ROW_TAIL_BYTES[table.width])


def embedder_options(config: StudentConfig) -> dict[str, int]:
    """What `MobileEmbedder` does behind the encoder."""
    act = ACTIVATIONS.index(config.head_act) if config.head_act else -1
    return {"last": int(config.pooling == "last"), "act": act, "normalized": int(config.normalized)}


def wide_tensor(config: StudentConfig) -> tuple[str, tuple[int, int]]:
    """Element type and shape of the table that `MobileWide` has besides."""
    table = wide_table(config)
    return "uint8" if table.width.is_rounded else "float32", row_shape(table)


def wide_options(config: StudentConfig) -> dict[str, int]:
    """What `MobileWide` knows of its table."""
    return {"rows": config.wide_rows, "columns": config.outputs}


def _weight_elements(linear: Linear, config: StudentConfig) -> int:
    """Elements of a linear's weight: its numbers, or at 4 bits the bytes of its codes and block multipliers."""
    numbers = linear.out_features * linear.in_features
    if packed_format(linear, config) is not MatrixFormat.BLOCKS:
        return numbers
    blocks = linear.out_features * number_of_blocks(linear.in_features, config.block_size)
    return config.body_width.packed_bytes(numbers + blocks)


def _options(config: StudentConfig) -> dict[str, int]:
    return {
        "body_bits": config.body_bits,
        "block_size": config.block_size,
        "embedding_bits": config.embedding_bits,
        "embedding_size": config.embedding_size,
        "token_types": config.type_vocab_size,
        "buckets": config.relative_attention_buckets,
        "norm_before_projection": int(config.norm_before_projection),
        "self_attentive": int(config.embedding_projection == "self_attentive"),
        "no_norm": int(config.norm == "no_norm"),
        "hidden_act": ACTIVATIONS.index(config.hidden_act),
        "head_act": ACTIVATIONS.index(config.head_act) if config.has_dense and config.head_act else -1,
        "first_token": int(config.reads_first),
        "kernel": config.embedding_kernel,
        "separator": config.match_separator or 0,
    }


def _lists(config: StudentConfig, parts: Parts, slots: list[list[Linear]]) -> dict[str, list[int]]:
    attention_sets, ffn_sets = _set_paths(config, "attention"), _set_paths(config, "feed_forward")
    used = {attention.path: attention for attention in parts.attentions}
    shapes = [(x.out_features, x.in_features, int(x.bias)) for slot in slots for x in slot]
    return {
        "attention_sharing": [attention_sets.index(attention.path) for attention in parts.attentions],
        "ffn_sharing": [ffn_sets.index(feed_forward.path) for feed_forward in parts.feed_forwards],
        "heads": [used[path].heads for path in attention_sets],
        "head_sizes": [used[path].head_size for path in attention_sets],
        "slots": [sum(map(len, slots[:i])) for i in range(len(slots) + 1)],
        "linears": [number for shape in shapes for number in shape],
        "norms": [size for _, size in parts.norms],
    }


def _set_paths(config: StudentConfig, kind: str) -> list[str]:
    """Paths of the weight sets in the program's order: a self-attentive embedding's is the last."""
    count = config.num_attention_sets if kind == "attention" else config.num_ffn_sets
    own = [SELF_ATTENTIVE.replace("attention", kind)] if config.embedding_projection == "self_attentive" else []
    return [*(f"{kind}.{number}" for number in range(count)), *own]


def _slots(config: StudentConfig, parts: Parts) -> list[list[Linear]]:
    """The linear layers of every slot."""
    slots: list[list[Linear]] = []
    for path in _set_paths(config, "attention"):
        slots += [_in_slot(parts, f"{path}.{matrix}") for matrix in ATTENTION_MATRICES]
        if f"{path}.qkv" in parts.linears:
            slots[-len(ATTENTION_MATRICES)] = [parts.linears[f"{path}.qkv"]]
    for path in _set_paths(config, "feed_forward"):
        slots += [_in_slot(parts, f"{path}.{matrix}") for matrix in FFN_MATRICES]
    head = ["head.dense", "head.classifier"]
    if config.task == EMBEDS:  # `MobileEmbedder` takes the layer out of the dense one's slot, which is passed over
        head.reverse()
    ends = ("embeddings.convolution", "embeddings.projection", *head)
    return slots + [_in_slot(parts, path) for path in ends]


def _in_slot(parts: Parts, path: str) -> list[Linear]:
    """The products of one projection, if it has a place of its own."""
    return [parts.linears[name] for name in (path, f"{path}.down", f"{path}.up") if name in parts.linears]


def _check_places(parts: Parts, linears: tuple[Linear, ...]) -> None:
    """`InputError` for what the program has no place for."""
    for name in parts.linears.keys() - {linear.name for linear in linears}:
        raise InputError(f"format torchscript: its program has no place for the matrix {name!r}; use another format")
    places = 1 + 2 * len(parts.attentions)
    if len(parts.norms) != places:
        raise InputError(
            f"format torchscript: its program has {places} norms, the student {len(parts.norms)}; use another format"
        )
