"""What a `spiece.model` holds: pieces and the character map, out of SentencePiece's protocol buffer."""

from __future__ import annotations

import struct
from pathlib import Path

from edgepack.runtime.protobuf import messages, parse_message, strings

PIECES, NORMALIZER = 1, 3  # field numbers of ModelProto
TEXT, SCORE = 1, 2  # of SentencePiece
CHARACTER_MAP = 2  # of NormalizerSpec


def read_model(path: Path) -> tuple[list[tuple[str, float]], bytes]:
    """Pieces with their scores by id, and the precompiled character map."""
    model = parse_message(path.read_bytes())
    pieces = [(strings(piece, TEXT)[0], _score(piece.get(SCORE, [0])[0])) for piece in messages(model, PIECES)]
    maps = [value for spec in messages(model, NORMALIZER) for value in spec.get(CHARACTER_MAP, [])]
    return pieces, b"".join(value for value in maps if isinstance(value, bytes))


def _score(bits: int | bytes) -> float:
    """A float that the message holds as 32 bits."""
    assert isinstance(bits, int)
    (score,) = struct.unpack("<f", struct.pack("<I", bits))
    return float(score)
