"""Logits of a whole data set from a runtime, in the flat layout of `Encoded.labels`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgepack.console import Advance
from edgepack.runtime import BatchSession, Session
from edgepack.task.encoded import Encoded
from edgepack.task.long_texts import split


def predict_session(session: Session, encoded: Encoded, advance: Advance | None = None) -> np.ndarray:
    """Flat fp32 logits from a runtime, one example or window at a time, as an app would ask for them.

    Of a `BatchSession` several at a time that are of one length, so that none is padded.
    """
    texts = split(encoded)
    outputs = [np.empty(0)] * len(texts.ends)
    for places in _groups(texts.pieces.lengths, session.texts_at_once if isinstance(session, BatchSession) else 1):
        inputs = {name: array for name, array in texts.pieces.batch(places).items() if name in session.input_names}
        output = session.run(inputs)
        for place, own in zip(places, output, strict=True):
            outputs[place] = own if output.ndim == 3 else own[None]
        if advance is not None:
            advance(int(texts.ends[places].sum()))
    return texts.joined(np.concatenate(outputs).astype(np.float32, copy=False))


def _groups(lengths: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Places of at most `size` texts of one length; with a size of 1 in their order."""
    order = np.arange(len(lengths)) if size == 1 else np.argsort(lengths, kind="stable")
    starts = np.flatnonzero(np.diff(lengths[order], prepend=-1)) if size > 1 else order
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        for first in range(start, end, size):
            yield order[first : min(first + size, end)]
