"""Word tables of the encoder teachers, begun from that of a base with another vocabulary.

A token's row is the mean of the base's rows for the WordPieces of its text. A token that goes on with a word is spelt
with continuation pieces where the base has them, else as a word. What the base cannot spell (other scripts, parts of
a character, unused tokens) gets random rows with the base's mean and deviation. The base folds case, so tokens that
differ by case alone begin equal.

A narrower table is the base's rows turned to their principal directions, which keep the most of their variance.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from edgepack.tokenizer.byte_pairs import byte_tokens

SPACE, CONTINUES = "▁", "##"
ROLES = ("cls", "sep", "pad", "unk", "mask")


@dataclass(frozen=True)
class Started:
    """A table, and the share of its rows that are spelt with the base's."""

    rows: Tensor  # (tokens, width)
    known: float


@dataclass(frozen=True, eq=False)
class Base:
    """A base's WordPiece tokenizer and word table."""

    tokenizer: PreTrainedTokenizerFast
    rows: Tensor  # (tokens, width)


def narrowed(base: Base, width: int) -> Base:
    """The same base with rows of `width` numbers: their principal directions about the mean, the mean's part kept."""
    if width == base.rows.shape[1]:
        return base
    _, _, directions = torch.linalg.svd(base.rows - base.rows.mean(0), full_matrices=False)
    return Base(base.tokenizer, base.rows @ directions[:width].T)


def start_table(tokenizer: PreTrainedTokenizerFast, base: Base, size: int, seed: int) -> Started:
    """A table of `size` rows for a tokenizer's ids."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(size, base.rows.shape[1], generator=generator)
    rows = noise * base.rows.std(0) + base.rows.mean(0)
    vocabulary = base.tokenizer.get_vocab()
    special = {
        getattr(tokenizer, f"{role}_token_id"): [vocabulary[getattr(base.tokenizer, f"{role}_token")]] for role in ROLES
    }
    known = 0
    for index, (text, starts) in enumerate(token_texts(tokenizer)):
        pieces = special.get(index) or spell(text, starts, base.tokenizer, vocabulary)
        if pieces:
            rows[index] = base.rows[pieces].mean(0)
            known += 1
    return Started(rows, known / size)


def token_texts(tokenizer: PreTrainedTokenizerFast) -> list[tuple[str, bool]]:
    """Each id's text without its space, and whether a word begins there; no text for part of a character."""
    numbers = tokenizer.get_vocab()
    tokens = sorted(numbers, key=lambda token: numbers[token])
    if SPACE in numbers:
        return [(token.removeprefix(SPACE), token.startswith(SPACE)) for token in tokens]
    of_token = {token: byte for byte, token in enumerate(byte_tokens())}
    texts = [bytes(of_token.get(char, 0xFF) for char in token).decode("utf-8", "replace") for token in tokens]
    return [("", False) if "\ufffd" in text else (text.lstrip(" "), text.startswith(" ")) for text in texts]


def spell(text: str, starts: bool, base: PreTrainedTokenizerFast, vocabulary: dict[str, int]) -> list[int]:
    """The base's ids for a text; none where one of its words is unknown to it."""
    backend = base.backend_tokenizer
    normalized = backend.normalizer.normalize_str(text) if backend.normalizer is not None else text
    if not starts and normalized.isalpha():
        continued = _continuation(normalized, vocabulary)
        if continued:
            return continued
    found = [vocabulary[token] for token in backend.encode(text, add_special_tokens=False).tokens]
    return [] if base.unk_token_id in found else found


def _continuation(text: str, vocabulary: dict[str, int]) -> list[int]:
    """The longest continuation piece first; none where a letter has no piece."""
    found: list[int] = []
    while text:
        length = next((n for n in range(len(text), 0, -1) if CONTINUES + text[:n] in vocabulary), 0)
        if not length:
            return []
        found.append(vocabulary[CONTINUES + text[:length]])
        text = text[length:]
    return found
