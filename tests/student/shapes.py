"""The smallest shape that the tests of one part of a student need."""

from __future__ import annotations

from typing import Any

ONE_LAYER: dict[str, Any] = {
    "vocab_size": 40,
    "embedding_size": 8,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_heads": [2],
    "head_sizes": [8],
    "intermediate_sizes": [16],
    "max_position_embeddings": 12,
    "num_labels": 3,
}
