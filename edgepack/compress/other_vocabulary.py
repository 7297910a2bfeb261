"""A student's word table for another tokenizer, out of the teacher's: row by row, before anything is trained.

Fast Vocabulary Transfer (Gee et al. 2022, arXiv:2402.09977, eq. 1): a token that both vocabularies have keeps its row,
any other gets the mean of the rows of the pieces that the teacher's tokenizer splits it into. What counts as the same
is told by what tokens stand for: `##ing` of WordPiece, `ing` of byte-level BPE and of Unigram are one, and so are
`Ġthe`, `▁the` and `the` at a word's start. Special tokens have the row of the same role. Deviation: tokens that the
teacher's tokenizer makes nothing of (spaces, parts of a character) get the mean of all rows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from edgepack.compress.surgery import WORD, rebuild
from edgepack.student.model import Student
from edgepack.tokenizer.byte_pairs import byte_tokens
from edgepack.tokenizer.library import encode_texts

ROLES = (("cls", "bos"), ("sep", "eos"), ("pad",), ("unk",), ("mask",), ("bos", "cls"), ("eos", "sep"))
BYTES = {token: byte for byte, token in enumerate(byte_tokens())}
UNIGRAM_MARK = "▁"


@dataclass(frozen=True)
class Surface:
    """What a token stands for: a stretch of text, at a word's start or within it."""

    text: str
    starts: bool

    @property
    def in_text(self) -> str:
        """With the space that comes before a word."""
        return f" {self.text}" if self.starts else self.text


def read_surfaces(tokenizer: PreTrainedTokenizerFast) -> dict[int, Surface]:
    """What each token stands for; special tokens and parts of characters are left out."""
    model = _model(tokenizer)
    special = set(tokenizer.all_special_ids)
    prefix, byte_level = model.get("continuing_subword_prefix") or "##", _is_byte_level(model)
    found = {}
    for token, number in tokenizer.get_vocab().items():
        surface = None if number in special else _surface(token, model["type"], prefix, byte_level)
        if surface is not None:
            found[number] = surface
    return found


def source_rows(teacher: PreTrainedTokenizerFast, other: PreTrainedTokenizerFast) -> list[Sequence[int]]:
    """For each id of the tokenizer `other` the teacher's ids whose rows' mean its row becomes; none: all rows."""
    vocabulary = other.get_vocab()
    own, surfaces = _by_surface(teacher), read_surfaces(other)
    same_kind = _kind(teacher) == _kind(other)
    known = teacher.get_vocab() if same_kind else {}
    rows: list[Sequence[int]] = [()] * (1 + max(vocabulary.values()))
    split: list[int] = []
    for token, number in vocabulary.items():
        surface = surfaces.get(number)
        if token in known:
            rows[number] = (known[token],)
        elif surface in own and any(map(str.isalnum, surface.text)):
            rows[number] = (own[surface],)
        elif surface is not None:
            split.append(number)
    for number, ids in zip(split, _pieces(teacher, [surfaces[number].in_text for number in split]), strict=True):
        rows[number] = ids
    for number, source in _special(teacher, other).items():
        rows[number] = (source,)
    return rows


def with_vocabulary(student: Student, rows: Sequence[Sequence[int]], pad_id: int) -> Student:
    """The same student with a word table of these means of its rows."""
    state = dict(student.state_dict())
    state[WORD] = mean_rows(state[WORD], rows)
    return rebuild(student, state, vocab_size=len(rows), pad_token_id=pad_id)


def mean_rows(table: Tensor, rows: Sequence[Sequence[int]]) -> Tensor:
    """`(len(rows), E)`: the mean of the named rows of `table (V, E)` each; where none is named, of all."""
    target = torch.tensor([i for i, sources in enumerate(rows) for _ in sources], dtype=torch.long)
    source = torch.tensor([number for sources in rows for number in sources], dtype=torch.long)
    counts = torch.tensor([len(sources) for sources in rows])
    summed = torch.zeros(len(rows), table.shape[1]).index_add_(0, target, table[source].float())
    means = summed / counts.clamp(min=1)[:, None]
    means[counts == 0] = table.float().mean(0)
    return means.to(table.dtype)


def _model(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    model: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    return model


def _is_byte_level(model: dict[str, Any]) -> bool:
    return model["type"] == "BPE" and all(token in model["vocab"] for token in BYTES)


def _kind(tokenizer: PreTrainedTokenizerFast) -> tuple[str, bool]:
    """Tokenizers of one kind write the same string for what is the same."""
    model = _model(tokenizer)
    return model["type"], _is_byte_level(model)


def _surface(token: str, kind: str, prefix: str, byte_level: bool) -> Surface | None:
    if byte_level:
        try:
            text = bytes(BYTES[character] for character in token).decode()
        except (KeyError, UnicodeDecodeError):  # an added token; a part of a character
            return None
        return Surface(text.removeprefix(" "), text.startswith(" ")) if text.strip() else None
    if kind == "WordPiece":
        inner = token.startswith(prefix) and len(token) > len(prefix)
        return Surface(token.removeprefix(prefix) if inner else token, not inner)
    text = token.replace(UNIGRAM_MARK, " ")
    return Surface(text.removeprefix(" "), text.startswith(" ")) if text.strip() else None


def _by_surface(tokenizer: PreTrainedTokenizerFast) -> dict[Surface, int]:
    """Ids by what their tokens stand for; of several the first."""
    found: dict[Surface, int] = {}
    for number, surface in sorted(read_surfaces(tokenizer).items()):
        found.setdefault(surface, number)
    return found


def _pieces(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> list[tuple[int, ...]]:
    """The ids of each text without special tokens; unknown ones only where nothing else is found."""
    backend, unknown = tokenizer.backend_tokenizer, tokenizer.unk_token_id
    backend.no_truncation()
    backend.no_padding()
    found = []
    for batch in encode_texts(backend, texts, "the student's tokenizer", special_tokens=False):
        for encoding in batch:
            known = tuple(number for number in encoding.ids if number != unknown)
            found.append(known or tuple(encoding.ids))
    return found


def _special(teacher: PreTrainedTokenizerFast, other: PreTrainedTokenizerFast) -> dict[int, int]:
    """The teacher's id of the same role, by the other tokenizer's."""
    found: dict[int, int] = {}
    for role, *instead in ROLES:
        number = getattr(other, f"{role}_token_id")
        sources = [getattr(teacher, f"{name}_token_id") for name in (role, *instead)]
        source = next((each for each in sources if each is not None), None)
        if number is not None and source is not None:
            found.setdefault(number, source)
    return found
