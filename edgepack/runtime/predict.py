"""Logits of a whole data set from a runtime, in the flat layout of `Encoded.labels`."""

from __future__ import annotations

import numpy as np

from edgepack.console import Advance
from edgepack.runtime import Session
from edgepack.task.encoded import Encoded


def predict_session(session: Session, encoded: Encoded, advance: Advance | None = None) -> np.ndarray:
    """Flat fp32 logits from a runtime, one example at a time, as an app would ask for them."""
    outputs = []
    for i in range(len(encoded)):
        inputs = {name: array for name, array in encoded.batch([i]).items() if name in session.input_names}
        output = session.run(inputs)
        outputs.append(output[0] if output.ndim == 3 else output)
        if advance is not None:
            advance(1)
    return np.concatenate(outputs).astype(np.float32, copy=False)
