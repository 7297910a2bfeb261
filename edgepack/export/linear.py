"""One matrix product of a student, as files hold it: which of the student's layers it is made of, and its size.

A projection is one such product, or two where it is factorized; queries, keys and values are three, or one where none
of them is factorized.
"""

from __future__ import annotations

from dataclasses import dataclass

ATTENTION_INPUTS = ("query", "key", "value")


@dataclass(frozen=True)
class Linear:
    """One matrix product: the student's linear layers at `paths`, side by side, as one of `out_features` outputs."""

    name: str
    paths: tuple[str, ...]
    in_features: int
    out_features: int
    bias: bool = True


def factors(path: str, in_features: int, out_features: int, rank: int = 0) -> tuple[Linear, ...]:
    """The products of the projection at `path`, first to last: one, or two of this rank."""
    if not rank:
        return (Linear(path, (f"{path}.full",), in_features, out_features),)
    down = Linear(f"{path}.down", (f"{path}.down",), in_features, rank, bias=False)
    return (down, Linear(f"{path}.up", (f"{path}.up",), rank, out_features))


def joined(path: str, in_features: int, out_features: int) -> Linear:
    """Queries, keys and values of the attention at `path` as one product; `out_features` of each."""
    parts = tuple(f"{path}.{name}.full" for name in ATTENTION_INPUTS)
    return Linear(f"{path}.qkv", parts, in_features, len(parts) * out_features)
