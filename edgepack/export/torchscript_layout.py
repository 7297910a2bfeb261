"""Where each number of a student lies in a TorchScript artifact, from the config alone.

`torchscript_program.MobileEncoder` reads its shape from these options and lists and cuts its weights out
of flat tensors of these sizes. The exporter fills the tensors, the planner adds up their bytes; both ask
here, so they cannot disagree. Slot order is described in `torchscript_program`.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgepack.student.config import ACTIVATIONS, StudentConfig

Linear = tuple[int, int, int]  # rows (outputs), columns (inputs), 1 if it has a bias
BODY_ELEMENTS = {32: "float32", 8: "int8", 4: "uint8"}  # at 4 bits two to a byte
ROW_TAIL_BYTES = {8: 8, 4: 4}  # scale and minimum behind a row's codes: two fp32, two fp16


@dataclass(frozen=True)
class Layout:
    """What `MobileEncoder` needs beside the numbers themselves; `words` and `positions` are table shapes."""

    options: dict[str, int]
    lists: dict[str, list[int]]
    integers: int
    floats: int
    words: tuple[int, int]
    positions: tuple[int, int]
    buckets: int

    def tensors(self) -> list[tuple[str, tuple[int, ...]]]:
        """Element type and shape of the flat tensors, in the order of the state."""
        body = BODY_ELEMENTS[self.options["body_bits"]]
        table = "float32" if self.options["embedding_bits"] == 32 else "uint8"
        return [
            (body, (self.integers,)),
            ("float32", (self.floats,)),
            (table, self.words),
            (table, self.positions),
            ("uint8", (self.buckets,)),
        ]


def layout(config: StudentConfig) -> Layout:
    """The layout of a student of this shape at these bit widths."""
    slots = _slots(config)
    linears = [linear for slot in slots for linear in slot]
    norms, heads = _norm_widths(config), list(config.num_heads or [])
    scales = sum(rows for rows, _, _ in linears) if config.body_bits < 32 else 0
    biases = sum(rows * has_bias for rows, _, has_bias in linears)
    types, relative = config.type_vocab_size * config.sum_size, config.relative_attention_buckets * sum(heads)
    bits = config.embedding_bits
    return Layout(
        options=_options(config),
        lists=_lists(config, slots, norms),
        integers=sum(_weight_elements(rows, columns, config) for rows, columns, _ in linears),
        floats=scales + biases + 2 * sum(norms) + types + relative,
        words=(config.vocab_size, row_width(config.embedding_size, bits)),
        positions=(config.max_position_embeddings, row_width(config.sum_size, max(bits, 8))),
        buckets=2 * config.max_position_embeddings - 1 if config.relative_attention_buckets else 0,
    )


def row_width(columns: int, bits: int) -> int:
    """Elements of a table's row: floats at 32 bits, else the bytes of codes, scale and minimum."""
    return columns if bits == 32 else -(-columns * bits // 8) + ROW_TAIL_BYTES[bits]


def _weight_elements(rows: int, columns: int, config: StudentConfig) -> int:
    """Elements of a linear's weight: its numbers, or at 4 bits the bytes of its codes and block multipliers."""
    if config.body_bits != 4:
        return rows * columns
    blocks = -(-columns // config.block_size)
    return -(-rows * (columns + blocks) // 2)


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
        "head_act": ACTIVATIONS.index(config.head_act) if config.head_act else -1,
        "first_token": int(config.task == "text-classification"),
    }


def _lists(config: StudentConfig, slots: list[list[Linear]], norms: list[int]) -> dict[str, list[int]]:
    lists = {
        "attention_sharing": list(config.attention_sharing or []),
        "ffn_sharing": list(config.ffn_sharing or []),
        "heads": list(config.num_heads or []),
        "head_sizes": list(config.head_sizes or []),
        "slots": [sum(map(len, slots[:i])) for i in range(len(slots) + 1)],
        "linears": [number for slot in slots for linear in slot for number in linear],
        "norms": norms,
    }
    if config.embedding_projection == "self_attentive":  # its sets are the last, its layer the first
        lists["attention_sharing"].insert(0, config.num_attention_sets)
        lists["ffn_sharing"].insert(0, config.num_ffn_sets)
        lists["heads"].append(config.embedding_num_heads)
        lists["head_sizes"].append(config.embedding_size // config.embedding_num_heads)
    return lists


def _norm_widths(config: StudentConfig) -> list[int]:
    """Embedding, then attention and FFN of each layer, a self-attentive embedding's first."""
    safe = [config.embedding_size, config.hidden_size] if config.embedding_projection == "self_attentive" else []
    return [config.sum_size, *safe, *[config.hidden_size] * (2 * config.num_hidden_layers)]


def _slots(config: StudentConfig) -> list[list[Linear]]:
    """The linear layers of every slot."""
    width, hidden, ranks = config.embedding_size, config.hidden_size, config.ranks or {}
    heads, sizes, inner = config.num_heads or [], config.head_sizes or [], config.intermediate_sizes or []
    attention = [
        slot
        for s in range(config.num_attention_sets)
        for slot in _attention(hidden, heads[s] * sizes[s], [ranks[m][s] for m in ("query", "key", "value", "output")])
    ]
    feed_forward = [
        slot
        for s in range(config.num_ffn_sets)
        for slot in (_linears(inner[s], hidden, ranks["up"][s]), _linears(hidden, inner[s], ranks["down"][s]))
    ]
    if config.embedding_projection == "self_attentive":
        between = config.embedding_intermediate_size
        attention += _attention(width, width // config.embedding_num_heads * config.embedding_num_heads, [0] * 4)
        feed_forward += [_linears(between, width, 0), _linears(hidden, between, 0)]
    projection = [(hidden, width, int(config.projection_bias))] if config.has_projection else []
    inputs = config.classifier_inputs
    dense = _linears(inputs, hidden, 0) if config.head_act else []
    return [*attention, *feed_forward, projection, dense, _linears(config.num_labels or 0, inputs, 0)]


def _attention(width: int, inner: int, ranks: list[int]) -> list[list[Linear]]:
    """Query, key, value, output; the first three are one linear where none is factorized."""
    output = _linears(width, inner, ranks[3])
    if not any(ranks[:3]):
        return [_linears(3 * inner, width, 0), [], [], output]
    return [*(_linears(inner, width, rank) for rank in ranks[:3]), output]


def _linears(rows: int, columns: int, rank: int) -> list[Linear]:
    return [(rank, columns, 0), (rows, rank, 1)] if rank else [(rows, columns, 1)]
