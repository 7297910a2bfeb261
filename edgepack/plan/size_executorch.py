"""Bytes of an ExecuTorch program from the config alone, within 0.5 %.

Nearly all of a `.pte` file is constants, and those are exact: the exporter's walk is taken with sizes instead of
tensors. The rest, flatbuffers that describe XNNPACK's parts and the calls between them, is written by ExecuTorch and
takes a number of bytes for each thing described: `FITTED` was fitted to 19 files of 1.5.1, of 110 to 390 kB, all within
370 bytes. Lowering a student takes half a minute, so it cannot be tried for each candidate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from edgepack.export.encoder_walk import Attention, Table
from edgepack.export.linear import Linear
from edgepack.export.matrix_format import MatrixFormat, kernel_format, scales_per_channel
from edgepack.export.one_text_walk import OneTextWalk
from edgepack.plan.model_size import ModelSize
from edgepack.quantization import INT8
from edgepack.student.config import StudentConfig
from edgepack.target import Target
from edgepack.task.similarity import EMBEDS

ALIGNMENT = 16  # of constants
FITTED = {  # bytes
    "base": 3777,
    "linears": 406,
    "rounded": 6,
    "blocks": 73,
    "norms": 758,
    "attentions": 4620,
    "tables": 412,
    "relative": 2217,
    "first": 1317,
    "constants": 111,
    "vector": -600,  # such a head has one linear layer fewer, or two
    "mean": 1445,
    "last": 1573,
    "unit": 1408,
    "convolution": 902,
    "places": 640,  # of a convolution
    "match": 3700,
    "buckets": -590,  # with a table and a mean
}


@dataclass(frozen=True)
class Counted:
    """A value of the walk: nothing is known of it but that it is there."""


VALUE = Counted()


class SizeWalk(OneTextWalk[Counted]):
    """Adds up constants by name, and what the program describes by kind."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__(config)
        self.tensors: dict[str, int] = {}
        self.kinds: Counter[str] = Counter()
        self.logits()
        self.kinds["vector"] = config.task == EMBEDS
        self.kinds["constants"] = len(self.tensors)

    def rows(self, table: Table) -> Counted:
        name, width = table.name, table.width
        self.kinds["tables"] += 1
        self.kinds["buckets"] += table.index == "buckets"
        if not width.is_rounded:
            self.tensors[name] = 4 * table.rows * table.columns
            return VALUE
        self.tensors[f"{name}.codes"] = table.rows * width.packed_bytes(table.columns)
        for part in ("scale", "zero"):
            self.tensors[f"{name}.{part}"] = table.rows * (4 if width == INT8 else 2)
        return VALUE

    def linear(self, tag: str, x: Counted, linear: Linear) -> Counted:
        name, out, stored = linear.name, linear.out_features, kernel_format(linear, self.config)
        self.kinds["linears"] += 1
        if linear.bias:
            self.tensors[f"{name}.bias"] = 4 * out
        if stored is MatrixFormat.FLOATS:
            self.tensors[f"{name}.weight"] = 4 * out * linear.in_features
            return VALUE
        blocks = stored is MatrixFormat.BLOCKS
        self.tensors[f"{name}.codes"] = out * linear.in_features // (2 if blocks else 1)
        self.tensors[f"{name}.scale"] = out * scales_per_channel(linear, stored) * (2 if blocks else 4)
        self.kinds["rounded"] += 1
        self.kinds["blocks"] += blocks
        return VALUE

    def query_key_value(self, tag: str, x: Counted, attention: Attention) -> list[Counted]:
        return [self.chain(tag, x, chain) for chain in attention.inputs]

    def add(self, tag: str, x: Counted, y: Counted) -> Counted:
        return VALUE

    def norm(self, tag: str, x: Counted, path: str, size: int) -> Counted:
        if self.config.norm == "layer_norm":  # a call of its own between two of XNNPACK's parts
            self.kinds["norms"] += 1
        self.tensors[f"{path}.weight"] = self.tensors[f"{path}.bias"] = 4 * size
        return VALUE

    def activation(self, tag: str, x: Counted, act: str) -> Counted:
        return VALUE

    def first(self, tag: str, x: Counted) -> Counted:
        self.kinds["first"] += 1
        return VALUE

    def mean(self, tag: str, x: Counted, last: bool) -> Counted:
        self.kinds["last" if last else "mean"] += 1
        return VALUE

    def unit(self, tag: str, x: Counted) -> Counted:
        self.kinds["unit"] += 1
        return VALUE

    def sum_neighbours(self, tag: str, x: Counted, places: Sequence[int]) -> Counted:
        self.kinds["convolution"] += 1
        self.kinds["places"] += len(places)
        return VALUE

    def matches(self, tag: str, path: str, separator: int) -> Counted:
        self.kinds["match"] += 1
        self.tensors[path] = 4 * self.config.hidden_size
        return VALUE

    def first_rows(self, tag: str, x: Counted) -> Counted:
        return VALUE

    def split_heads(self, tag: str, x: Counted, parts: int, heads: int, size: int) -> list[Counted]:
        return [VALUE] * parts

    def attend(
        self, tag: str, query: Counted, key: Counted, value: Counted, size: int, bias: Counted | None
    ) -> Counted:
        self.kinds["attentions"] += 1
        return VALUE

    def merge_heads(self, tag: str, x: Counted, inner: int) -> Counted:
        return VALUE

    def relative_bias(self, path: str, heads: int) -> Counted:
        config = self.config
        self.tensors[f"{path}.relative_bias"] = 4 * config.relative_attention_buckets * heads
        if "relative_buckets" not in self.tensors:
            self.tensors["relative_buckets"] = 4 * (2 * config.max_position_embeddings - 1)
            self.kinds["relative"] += 1
        return VALUE

    @property
    def stored_bytes(self) -> int:
        """Bytes of all constants in the file."""
        return sum(-(-size // ALIGNMENT) * ALIGNMENT for size in self.tensors.values())


def model_bytes(config: StudentConfig, _: Target | None = None) -> ModelSize:
    """The size that `export_executorch` would write for this config at its bit widths."""
    walk = SizeWalk(config)
    described = FITTED["base"] + sum(FITTED[kind] * number for kind, number in walk.kinds.items())
    return ModelSize(walk.stored_bytes + round(described), tuple(walk.tensors.items()))
