"""One way through a student, in the steps that a graph format has to write.

Formats that are written node by node (LiteRT, Core ML) and the module that is traced for ExecuTorch differ in their
operators, not in the order of an encoder's steps. `EncoderWalk` is that order: embeddings, layers with the weight sets
that the config names, head. A format fills in a dozen steps, each from values to a value: names in a graph, tensors in
a module; `tag` is a name for what a step computes. Values have no batch: a text is `(seq, width)`, heads
are `(heads, seq, head size)`, scores `(heads, seq, seq)`; batch 1 is what a phone runs, and per-token rounding
makes the rest of a batch independent anyway.

The head of a sequence task reads the first token alone, so the last layer computes only that. Scores are multiplied
by 1 / √size in the query, which is the smaller tensor.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

from edgepack.export.onnx_weights import Linear
from edgepack.student.config import ATTENTION_MATRICES, FFN_MATRICES, StudentConfig

INPUTS = ("query", "key", "value")
V = TypeVar("V")  # a value: a name in a graph, a tensor in a module


class EncoderWalk(ABC, Generic[V]):
    """A walk over a config; `logits()` returns the last value."""

    def __init__(self, config: StudentConfig) -> None:
        self.config = config

    @abstractmethod
    def rows(self, path: str, index: str, width: int, bits: int) -> V:
        """Rows of the table at `path`, `(seq, width)`; `index` is `words`, `positions` or `types`."""

    @abstractmethod
    def linear(self, tag: str, x: V, linear: Linear) -> V:
        """`x @ weight + bias`."""

    @abstractmethod
    def add(self, tag: str, x: V, y: V) -> V:
        """Sum of two values of one shape."""

    @abstractmethod
    def norm(self, tag: str, x: V, path: str, size: int) -> V:
        """The config's norm over the last axis."""

    @abstractmethod
    def activation(self, tag: str, x: V, act: str) -> V:
        """The named activation."""

    @abstractmethod
    def first(self, tag: str, x: V) -> V:
        """The first token, `(1, width)`."""

    @abstractmethod
    def split_heads(self, tag: str, x: V, parts: int, heads: int, size: int) -> list[V]:
        """`(seq, parts · heads · size)` as `parts` values `(heads, seq, size)`."""

    @abstractmethod
    def attend(self, tag: str, query: V, key: V, value: V, size: int, bias: V | None) -> V:
        """`softmax(query keyᵀ / √size + mask + bias) value`, `(heads, queries, size)`; `bias` `(heads, seq, seq)`."""

    @abstractmethod
    def merge_heads(self, tag: str, x: V, width: int) -> V:
        """`(heads, seq, size)` as `(seq, width)`."""

    @abstractmethod
    def first_rows(self, tag: str, x: V) -> V:
        """The first row of each head, `(heads, seq, n)` → `(heads, 1, n)`."""

    @abstractmethod
    def relative_bias(self, path: str, heads: int) -> V:
        """MPNet's bias of each pair of positions `(heads, seq, seq)`."""

    def query_key_value(self, tag: str, path: str, x: V, width: int, heads: int, size: int) -> list[V]:
        """All three of an unfactorized attention, `(heads, seq, size)` each: one product here."""
        linear = Linear(f"{path}.qkv", tuple(f"{path}.{name}.full" for name in INPUTS), width, 3 * heads * size)
        return self.split_heads(f"{tag}.qkv", self.linear(f"{tag}.qkv", x, linear), 3, heads, size)

    def logits(self) -> V:
        """The whole student."""
        config = self.config
        x = self._embeddings()
        for layer in range(config.num_hidden_layers):
            x = self._layer(layer, x)
        if config.head_act is not None:
            x = self.linear("h.dense", x, Linear("head.dense", ("head.dense",), config.hidden_size, self._head_inputs))
            x = self.activation("h.dense", x, config.head_act)
        classifier = Linear("head.classifier", ("head.classifier",), self._head_inputs, config.num_labels)
        return self.linear("logits", x, classifier)

    @property
    def _head_inputs(self) -> int:
        return self.config.classifier_inputs

    def _embeddings(self) -> V:
        config, total = self.config, self.config.sum_size
        x = self.rows("embeddings.word.weight", "words", config.embedding_size, config.embedding_bits)
        if config.has_projection and not config.norm_before_projection:
            x = self._projection(x)
        positions = self.rows("embeddings.position.weight", "positions", total, config.position_bits)
        x = self.add("e.positions", x, positions)
        if config.type_vocab_size:
            x = self.add("e.types", x, self.rows("embeddings.token_type.weight", "types", total, 32))
        x = self.norm("e", x, "embeddings.norm", total)
        if config.has_projection and config.norm_before_projection:
            x = self._projection(x)
        if config.embedding_projection == "self_attentive":
            x = self._self_attentive(x)
        return x

    def _projection(self, x: V) -> V:
        config = self.config
        path = "embeddings.projection"
        linear = Linear(path, (path,), config.embedding_size, config.hidden_size, config.projection_bias)
        return self.linear("e.projection", x, linear)

    def _self_attentive(self, x: V) -> V:
        config, width = self.config, self.config.embedding_size
        heads = config.embedding_num_heads
        attention = self._attention("e", "embeddings.attention", x, width, heads, width // heads, None, None)
        x = self.norm("e.attention", self.add("e.attention", x, attention), "embeddings.attention_norm", width)
        x = self._feed_forward("e", "embeddings.feed_forward", x, width, config.embedding_intermediate_size, None)
        return self.norm("e.output", x, "embeddings.output_norm", config.hidden_size)

    def _layer(self, layer: int, x: V) -> V:
        config, hidden, tag = self.config, self.config.hidden_size, f"l{layer}"
        chosen, ffn = (config.attention_sharing or [])[layer], (config.ffn_sharing or [])[layer]
        heads, size = (config.num_heads or [])[chosen], (config.head_sizes or [])[chosen]
        path = f"attention.{chosen}"
        y = self._attention(tag, path, x, hidden, heads, size, chosen, layer)
        if layer == config.first_token_layer:
            x = self.first(tag, x)
        x = self.norm(f"{tag}.attention", self.add(f"{tag}.attention", x, y), f"attention_norms.{layer}", hidden)
        y = self._feed_forward(tag, f"feed_forward.{ffn}", x, hidden, (config.intermediate_sizes or [])[ffn], ffn)
        return self.norm(f"{tag}.ffn", self.add(f"{tag}.ffn", x, y), f"ffn_norms.{layer}", hidden)

    def _attention(
        self, tag: str, path: str, x: V, width: int, heads: int, size: int, chosen: int | None, layer: int | None
    ) -> V:
        inner, ranks = heads * size, self._ranks(ATTENTION_MATRICES, chosen)
        if not any(ranks[matrix] for matrix in INPUTS):
            query, key, value = self.query_key_value(tag, path, x, width, heads, size)
        else:
            query, key, value = (
                self.split_heads(
                    f"{tag}.{matrix}",
                    self._chain(f"{tag}.{matrix}", x, f"{path}.{matrix}", width, inner, ranks[matrix]),
                    1,
                    heads,
                    size,
                )[0]
                for matrix in INPUTS
            )
        relative = self.config.relative_attention_buckets and layer is not None
        bias = self.relative_bias(path, heads) if relative else None
        if layer is not None and layer == self.config.first_token_layer:
            query = self.first_rows(f"{tag}.query", query)
            bias = None if bias is None else self.first_rows(f"{tag}.bias", bias)
        context = self.merge_heads(tag, self.attend(tag, query, key, value, size, bias), inner)
        return self._chain(f"{tag}.output", context, f"{path}.output", inner, width, ranks["output"])

    def _feed_forward(self, tag: str, path: str, x: V, width: int, inner: int, chosen: int | None) -> V:
        ranks = self._ranks(FFN_MATRICES, chosen)
        x = self._chain(f"{tag}.up", x, f"{path}.up", width, inner, ranks["up"])
        x = self.activation(f"{tag}.up", x, self.config.hidden_act)
        return self._chain(f"{tag}.down", x, f"{path}.down", inner, self.config.hidden_size, ranks["down"])

    def _chain(self, tag: str, x: V, path: str, width: int, out: int, rank: int) -> V:
        for linear in factors(path, width, out, rank):
            x = self.linear(f"{tag}.low" if not linear.bias else tag, x, linear)
        return x

    def _ranks(self, matrices: Sequence[str], chosen: int | None) -> dict[str, int]:
        if chosen is None:
            return dict.fromkeys(matrices, 0)
        return {matrix: (self.config.ranks or {})[matrix][chosen] for matrix in matrices}


def factors(path: str, width: int, out: int, rank: int) -> list[Linear]:
    """The linear layers of a projection: one, or two of this rank."""
    if not rank:
        return [Linear(path, (f"{path}.full",), width, out)]
    down = Linear(f"{path}.down", (f"{path}.down",), width, rank, bias=False)
    return [down, Linear(f"{path}.up", (f"{path}.up",), rank, out)]
