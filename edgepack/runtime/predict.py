"""Logits of a whole data set from a runtime, in the flat layout of `Encoded.labels`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgepack.console import Advance
from edgepack.errors import InputError
from edgepack.runtime import BatchSession, Session
from edgepack.task.encoded import Encoded, equal_lengths
from edgepack.task.long_texts import split


def predict_session(session: Session, encoded: Encoded, advance: Advance | None = None) -> np.ndarray:
    """Flat fp32 logits from a runtime, one example or window at a time, as an app would ask for them.

    Of a `BatchSession` several at a time that are of one length, so that none is padded.
    """
    texts = split(encoded)
    outputs = [np.empty(0)] * len(texts.ends)
    for places in _groups(texts.pieces.lengths, session):
        inputs = {name: array for name, array in texts.pieces.batch(places).items() if name in session.input_names}
        output = session.run(inputs)
        for place, own in zip(places, output, strict=True):
            outputs[place] = own if output.ndim == 3 else own[None]
        if advance is not None:
            advance(int(texts.ends[places].sum()))
    return texts.joined(np.concatenate(outputs).astype(np.float32, copy=False))


def with_outputs(logits: np.ndarray, outputs: int) -> np.ndarray:
    """The logits `(…, outputs)`; `InputError` where the model gives more or fewer numbers than its manifest says."""
    if logits.shape[-1] != outputs:
        said = f"the model gives {logits.shape[-1]} numbers, edgepack.json is of {outputs}"
        raise InputError(f"the bundle is damaged: {said}; check it with `edgepack gate`")
    return logits


def _groups(lengths: np.ndarray, session: Session) -> Iterator[np.ndarray]:
    """Places of the texts that are run together."""
    if not isinstance(session, BatchSession):
        yield from np.arange(len(lengths))[:, None]
        return
    for group in equal_lengths(lengths):
        yield from np.split(group, range(session.texts_at_once, len(group), session.texts_at_once))
