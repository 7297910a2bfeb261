"""A reader of `tokenizer.bin` in plain Python, whatever kind it holds: the reference that apps are compared with."""

from __future__ import annotations

from edgepack.tokenizer.asset_tokenizer import AssetTokenizer, Encoding, longest_first, utf16_index
from edgepack.tokenizer.byte_pair_reader import BytePair
from edgepack.tokenizer.byte_pairs import BytePairData
from edgepack.tokenizer.streams import read_asset
from edgepack.tokenizer.unigram_reader import Unigram
from edgepack.tokenizer.word_piece_reader import WordPiece
from edgepack.tokenizer.word_pieces import WordPieceData

__all__ = [
    "AssetTokenizer",
    "BytePair",
    "Encoding",
    "Unigram",
    "WordPiece",
    "longest_first",
    "read_tokenizer_asset",
    "utf16_index",
]


def read_tokenizer_asset(data: bytes) -> AssetTokenizer:
    """The tokenizer in a `tokenizer.bin`; `InputError` where it is none or damaged."""
    content = read_asset(data)
    if isinstance(content, WordPieceData):
        return WordPiece(content)
    return BytePair(content) if isinstance(content, BytePairData) else Unigram(content)
