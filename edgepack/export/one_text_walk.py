"""The walk in small operators, for formats that compute one text at a time: ExecuTorch, LiteRT, Core ML. Core AI's
values have a batch in front of what is said here.

Values have no batch: a text is `(seq, size)`, heads are `(heads, seq, head size)`, scores `(heads, seq, seq)`; batch 1
is what a phone runs, and per-token rounding makes the rest of a batch independent anyway. Scores are multiplied by
1 / √size in the query, which is the smaller tensor.
"""

from __future__ import annotations

from abc import abstractmethod

from edgepack.export.encoder_walk import Attention, EncoderWalk, V
from edgepack.export.linear import ATTENTION_INPUTS


class OneTextWalk(EncoderWalk[V]):
    """Attention as products, a transposition to heads, and a softmax between two products."""

    @abstractmethod
    def split_heads(self, tag: str, x: V, parts: int, heads: int, size: int) -> list[V]:
        """`(seq, parts · heads · size)` as `parts` values `(heads, seq, size)`."""

    @abstractmethod
    def attend(self, tag: str, query: V, key: V, value: V, size: int, bias: V | None) -> V:
        """`softmax(query keyᵀ / √size + mask + bias) value`, `(heads, queries, size)`; `bias` `(heads, seq, seq)`."""

    @abstractmethod
    def merge_heads(self, tag: str, x: V, inner: int) -> V:
        """`(heads, seq, size)` as `(seq, inner)`."""

    @abstractmethod
    def first_rows(self, tag: str, x: V) -> V:
        """The first row of each head, `(heads, seq, n)` → `(heads, 1, n)`."""

    @abstractmethod
    def relative_bias(self, path: str, heads: int) -> V:
        """MPNet's bias of each pair of positions `(heads, seq, seq)`."""

    def query_key_value(self, tag: str, x: V, attention: Attention) -> list[V]:
        """All three, `(heads, seq, size)` each: one product where none is factorized."""
        heads, size = attention.heads, attention.head_size
        if attention.joined is not None:
            both = self.linear(f"{tag}.qkv", x, attention.joined)
            return self.split_heads(f"{tag}.qkv", both, len(ATTENTION_INPUTS), heads, size)
        found = []
        for name, chain in zip(ATTENTION_INPUTS, attention.inputs, strict=True):
            found += self.split_heads(f"{tag}.{name}", self.chain(f"{tag}.{name}", x, chain), 1, heads, size)
        return found

    def attention(self, tag: str, x: V, attention: Attention) -> V:
        """Attention without norm or residual, `(seq, size)`, or `(1, size)` of the first token."""
        query, key, value = self.query_key_value(tag, x, attention)
        bias = self.relative_bias(attention.path, attention.heads) if attention.relative else None
        if attention.first_only:
            query = self.first_rows(f"{tag}.query", query)
            bias = None if bias is None else self.first_rows(f"{tag}.bias", bias)
        context = self.attend(tag, query, key, value, attention.head_size, bias)
        return self.chain(f"{tag}.output", self.merge_heads(tag, context, attention.inner), attention.output)
