"""What assets of every kind hold: added tokens, templates with special tokens, and how their header says them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from edgepack.tokenizer.unicode_tables import CODE_POINTS, SURROGATES
from edgepack.tokenizer.writing import string, varints

MOST_PIECES = 64  # of a template
LSTRIP, RSTRIP, NORMALIZED = 1, 2, 4  # flags of an added token
TRIM_OFFSETS, TRIM_PREFIXED = 2, 4  # flags of a tokenizer: what `trims` gives
SPECIAL, FIRST = 0, 1  # kinds of a template's pieces; the second text is FIRST + 1


@dataclass(frozen=True)
class AddedToken:
    """A token matched as it stands: in the raw text, or (flag `NORMALIZED`) in the normalized text between those."""

    id: int
    content: str
    flags: int


@dataclass(frozen=True)
class Piece:
    """One part of a template: a special token, or the first or second text's tokens."""

    kind: int
    id: int  # of a special token; 0 otherwise
    type_id: int


def added_tokens(backend: Tokenizer, document: dict[str, Any]) -> tuple[AddedToken, ...]:
    """The added tokens of a tokenizer.json; one that is looked for in normalized text, as that text has it."""
    normalize = (lambda text: text) if backend.normalizer is None else backend.normalizer.normalize_str
    return tuple(
        AddedToken(
            t["id"],
            normalize(t["content"]) if t["normalized"] else t["content"],
            LSTRIP * t["lstrip"] | RSTRIP * t["rstrip"] | NORMALIZED * t["normalized"],
        )
        for t in document["added_tokens"]
    )


def template(backend: Tokenizer, pair: bool) -> tuple[Piece, ...]:
    """Where special tokens go, seen in what the post-processor does to one-word texts."""
    encoding = backend.encode("a", "a") if pair else backend.encode("a")
    pieces = []
    for index, type_id, sequence in zip(encoding.ids, encoding.type_ids, encoding.sequence_ids, strict=True):
        piece = Piece(SPECIAL, index, type_id) if sequence is None else Piece(FIRST + sequence, 0, type_id)
        if sequence is None or piece not in pieces:  # "a" may be several tokens of one text
            pieces.append(piece)
    return tuple(pieces)


def header_tail(added: Sequence[AddedToken], single: Sequence[Piece], pair: Sequence[Piece]) -> bytes:
    """The header's end: added tokens and templates."""
    out = varints((len(added),))
    for token in added:
        out += varints((token.id, token.flags)) + string(token.content)
    for pieces in (single, pair):
        out += varints((len(pieces), *(n for p in pieces for n in (p.kind, p.id, p.type_id))))
    return out


def flat_steps(part: dict[str, Any] | None, name: str) -> list[dict[str, Any]]:
    """The steps of a pipeline's part; `name` is the key under which a Sequence holds its own."""
    if part is None:
        return []
    return [step for each in part[name] for step in flat_steps(each, name)] if part["type"] == "Sequence" else [part]


def trims(document: dict[str, Any]) -> tuple[bool, bool]:
    """Whether the post-processor leaves spaces out of offsets, and whether the one before the first token stays."""
    found = [
        step
        for step in flat_steps(document["post_processor"], "processors")
        if step["type"] in ("ByteLevel", "RobertaProcessing") and step["trim_offsets"]
    ]
    return bool(found), any(step["add_prefix_space"] for step in found)


def whole_points() -> list[int]:
    """All code points but surrogates."""
    return [point for point in range(CODE_POINTS) if point not in SURROGATES]
