"""How sure a model has to be: the temperature and the least confidence of a bundle, with what they were found on.

A build finds both with the student's rounded weights on training examples that nothing was trained on.
`evidence/sure.py` does that, and finds the least confidence again from the record in the gate.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from edgepack.bundle.record import Record

ANSWER_RATE = 0.95  # of the answers that are right: what is still given, where nobody says otherwise


class Confidence(Record):
    """`temperature` divides logits; an app says "not sure" below `min_confidence`, which tags do not have.

    `right`, `wrong`: the confidence of the answers to the texts held out, at the temperature, ascending; `outside`: to
    texts that belong to no label. All the least confidence follows from them and `answer_rate`.
    """

    left_out: ClassVar[tuple[str, ...]] = ("min_confidence", "right", "wrong", "outside")
    temperature: float = Field(gt=0, allow_inf_nan=False)
    n: int = Field(ge=0)  # decisions held out: texts, or words
    answer_rate: float = Field(gt=0, le=1)
    min_confidence: float | None = Field(default=None, gt=0, lt=1, allow_inf_nan=False)
    right: list[float] = Field(default_factory=list)
    wrong: list[float] = Field(default_factory=list)
    outside: list[float] = Field(default_factory=list)
