"""One inference, timed. Imports no torch: a process that measures memory has the runtime alone."""

from __future__ import annotations

import time

import numpy as np

from edgepack.measure import since_ms
from edgepack.runtime import Session


def time_once(session: Session, tokens: int) -> float:
    """Milliseconds of one inference, batch 1."""
    ids = np.full((1, tokens), 5, np.int64)
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    started = time.perf_counter()
    session.run(inputs)
    return since_ms(started)
