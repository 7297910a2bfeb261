"""Unigram tokenizers of every option that the families use, as folders that look like a bundle to a tokenizer.

Pieces are those of a few sentences, or those of a folder with a `spiece.model` (`ALBERT`, `T5`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import UnigramTrainer

from tests.apps.character_map import compatibility_map
from tests.apps.sentence_piece import read_model
from tests.apps.variants import FRAME, GPT2, LATE, SENTENCES, write_folder

ALBERT, T5 = GPT2.parent / "albert-de", GPT2.parent / "t5-ru"
EXTRA = (FRAME[0], FRAME[1], "<mask>", "<unk>")
MARK = "▁"
UNIGRAMS = (
    "albert",
    "albert-old",
    "t5",
    "xlm-r",
    "camembert",
    "deberta-v2",
    "deberta-v2-lower",
    "whole-wide",
    "bytes",
    "plain",
    "ties",
    "late",
)

REAL = {
    "albert": (ALBERT, ("albert", "deberta-v2")),
    "t5": (T5, ("t5", "xlm-r")),
}  # pieces, and options tried with them
SOURCES = {"few": (None, UNIGRAMS), **REAL}
CASES = [(name, source) for source, (_, names) in SOURCES.items() for name in names]


def source_of(name: str) -> Path | None:
    """The folder of a source's pieces; skips the test where it does not lie beside the checkout."""
    folder = SOURCES[name][0]
    if folder is not None and not folder.is_dir():
        pytest.skip("the SentencePiece models do not lie beside the checkout")
    return folder


def write_unigrams(folder: Path, names: Sequence[str] | None = None, source: Path | None = None) -> list[Path]:
    """Write tokenizers of every option: all, or those named; `source` has a spiece.model."""
    chosen = names or UNIGRAMS
    for name in chosen:
        write_folder(unigram(name, source), folder / name)
    return [folder / name for name in chosen]


def unigram(name: str, source: Path | None = None) -> Tokenizer:
    """A tokenizer as the family of that name has it."""
    pieces, charsmap = _few_pieces() if source is None else read_model(source / "spiece.model")
    pieces = [*pieces, *((token, 0.0) for token in EXTRA if token not in dict(pieces))]
    if name == "ties":
        pieces = [(piece, -float(len(piece) // 2)) for piece, _ in pieces]
    if name == "whole-wide":
        pieces = [(piece, score * (1 + 2**-40)) for piece, score in pieces]
    has_bytes = name in ("deberta-v2", "bytes")
    if has_bytes:
        pieces = [*pieces, *((f"<0x{byte:02X}>", -20.0) for byte in range(256))]
    unknown = [piece for piece, _ in pieces].index("<unk>")
    tokenizer = Tokenizer(models.Unigram(pieces, unknown, has_bytes))
    _set_normalizer(tokenizer, name, charsmap)
    _set_splitting(tokenizer, name)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in EXTRA if token != "<mask>"])
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    if name in ("t5", "late", "bytes"):
        tokenizer.add_tokens([*LATE, AddedToken("ﬁn", normalized=True, rstrip=True), AddedToken("<extra_id_0>")])
    first, last = ((token, tokenizer.token_to_id(token)) for token in FRAME)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[first, last]
    )
    if name in ("camembert", "plain"):
        tokenizer.post_processor = processors.RobertaProcessing(last, first, True, name == "plain")
    return tokenizer


def _set_normalizer(tokenizer: Tokenizer, name: str, charsmap: bytes) -> None:
    mapped = normalizers.Precompiled(charsmap)
    quotes = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    spaces = normalizers.Replace(Regex(" {2,}"), " ")
    plain_spaces = normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " ")
    at_end = normalizers.Strip(left=False, right=True)
    lower = normalizers.Lowercase()
    steps: dict[str, list[Any]] = {
        "albert": [*quotes, normalizers.NFKD(), normalizers.StripAccents(), lower, mapped, spaces],
        "albert-old": [*quotes, mapped],
        "t5": [mapped],
        "xlm-r": [mapped, at_end, normalizers.Replace(Regex(" {2,}"), MARK)],
        "camembert": [normalizers.Replace("\n", " "), normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")],
        "deberta-v2": [plain_spaces, normalizers.NFC(), at_end],
        "deberta-v2-lower": [lower, plain_spaces, normalizers.NFC(), at_end],
        "whole-wide": [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " ")],
        "bytes": [normalizers.NFD()],
        "ties": [mapped, lower],
        "late": [normalizers.NFKC(), lower],
    }
    if name in steps:
        tokenizer.normalizer = normalizers.Sequence(steps[name])


def _set_splitting(tokenizer: Tokenizer, name: str) -> None:
    schemes = {"xlm-r": "first", "plain": "first", "whole-wide": "never", "late": "first"}
    step = pre_tokenizers.Metaspace(MARK, schemes.get(name, "always"), name not in ("whole-wide", "plain"))
    before = {
        "albert-old": pre_tokenizers.WhitespaceSplit(),
        "t5": pre_tokenizers.WhitespaceSplit(),
        "deberta-v2": pre_tokenizers.Punctuation(),
        "deberta-v2-lower": pre_tokenizers.Punctuation(),
    }
    if name in before:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([before[name], step])
    elif name != "bytes":
        tokenizer.pre_tokenizer = step


@cache
def _few_pieces() -> tuple[list[tuple[str, float]], bytes]:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(MARK)
    trainer = UnigramTrainer(vocab_size=150, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False)
    tokenizer.train_from_iterator(SENTENCES * 3, trainer)
    pieces = [(piece, float(score)) for piece, score in json.loads(tokenizer.to_str())["model"]["vocab"]]
    return pieces, compatibility_map()
