"""Logits of a whole data set from a runtime, in the flat layout of `Encoded.labels`."""

from __future__ import annotations

import numpy as np

from edgepack.console import Advance
from edgepack.runtime import Session
from edgepack.task.encoded import Encoded
from edgepack.task.long_texts import split


def predict_session(session: Session, encoded: Encoded, advance: Advance | None = None) -> np.ndarray:
    """Flat fp32 logits from a runtime, one example or window at a time, as an app would ask for them."""
    texts = split(encoded)
    outputs = []
    for i, is_last in enumerate(texts.ends):
        inputs = {name: array for name, array in texts.pieces.batch([i]).items() if name in session.input_names}
        output = session.run(inputs)
        outputs.append(output[0] if output.ndim == 3 else output)
        if advance is not None:
            advance(int(is_last))
    return texts.joined(np.concatenate(outputs).astype(np.float32, copy=False))
