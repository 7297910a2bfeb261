"""What a trimmed vocabulary costs: nothing on the texts that it was cut to, tokens on others."""

from __future__ import annotations

import pytest

from benchmarks.trimming import costs
from tests.teacher.tokenizers import TOKENIZERS


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_used_texts_cost_nothing_and_others_tokens(kind: str) -> None:
    used, other = costs(kind, TOKENIZERS[kind](), {"used": ["stop the music"], "other": ["play the song"]})
    assert (used.different, used.more, used.unknown) == (0.0, 0.0, 0)
    assert used.kept < used.tokens
    assert other.different == 1.0
    assert other.more > 0
    assert other.unknown == 0
