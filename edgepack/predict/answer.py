"""What a bundle says of a text: labels with probabilities, or entities; and what one should know of the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from edgepack.errors import bare
from edgepack.task.task import NO_LABELS

MOSTLY = 0.5  # of a text's tokens
NOT_SURE = "not sure"  # how an answer below the least confidence is shown
SHOWN, LEAST = 100, 0.01  # characters of a text, and probability of a label, that a person is shown
SHOWN_NUMBERS = 4  # of a vector


def unknown_share(ids: Sequence[int], spans: Sequence[Sequence[int]], unknown_id: int | None) -> float:
    """The share of a text's own tokens that are the unknown one; special tokens, whose spans are empty, do not count.

    `spans`: start and end of each token in its text, in any unit. None: the vocabulary has no unknown token.
    """
    own = [token for token, (start, end) in zip(ids, spans, strict=True) if end > start]
    return sum(token == unknown_id for token in own) / max(1, len(own))


@dataclass(frozen=True)
class Entity:
    """A stretch `[start, end)` of the text, in code points; as probable as its least probable word."""

    label: str
    start: int
    end: int
    text: str
    probability: float


@dataclass(frozen=True)
class Answer:
    """The answer to one text or pair.

    `label`, `probability` and `probabilities` (by label, the likeliest first) are of text classification, `entities` of
    token classification: the stretches that tags mark, or where these are plain, as parts of speech, each word. Of
    label sets `labels` are those at their thresholds or above, the likeliest first; there may be none. `sure` is False
    where the probability is below the manifest's `min_confidence`: an app says "not sure" then, and `label` is the best
    guess. Of a score `score` is the number and `label` its name, without a probability. `vector` is of a text that is
    embedded: the dot product of two of them, where they are of length 1, is their cosine. `tokens` counts special ones
    too; `cut`: the text was longer than the model's input, and its end was not read; `unknown` is the share of its
    tokens that the vocabulary does not have.
    """

    text: str
    pair: str | None
    tokens: int
    cut: bool
    unknown: float
    label: str | None = None
    probability: float | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    entities: tuple[Entity, ...] = ()
    labels: tuple[str, ...] | None = None
    score: float | None = None
    vector: tuple[float, ...] | None = None
    sure: bool = True

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes the answer doubtful, in words."""
        found = []
        if self.cut:
            found.append(f"cut at {self.tokens} tokens: the end was not read")
        if self.unknown > MOSTLY:
            found.append(f"{self.unknown:.0%} of the tokens are unknown to the model")
        return tuple(found)

    def lines(self) -> list[str]:
        """The answer for a person: a line for the text, one for each entity or for the label, one for each warning."""
        text = bare(self.text, SHOWN) if self.pair is None else f"{bare(self.text, SHOWN)} | {bare(self.pair, SHOWN)}"
        if self.score is not None:
            found = [f"  {bare(self.label or 'score')} {self.score:.4f}"]
        elif self.vector is not None:
            start = ", ".join(f"{number:.4f}" for number in self.vector[:SHOWN_NUMBERS])
            found = [f"  {start}, … ({len(self.vector)} numbers)"]
        elif self.labels is not None:
            found = [f"  {bare(name)} {self.probabilities[name]:.1%}" for name in self.labels]
        elif self.label is not None:
            found = [] if self.sure else [f"  {NOT_SURE}; the best guesses:"]
            found += [f"  {bare(name)} {share:.1%}" for name, share in self.probabilities.items() if share >= LEAST]
        else:
            found = [f"  {bare(e.label)} {e.probability:.1%}: {bare(e.text, SHOWN)}" for e in self.entities]
        nothing = "  no entities" if self.labels is None else f"  {NO_LABELS}"
        return [text, *(found or [nothing]), *(f"  note: {warning}" for warning in self.warnings)]

    def to_record(self) -> dict[str, Any]:
        """Plain data, as `edgepack predict --json` prints it."""
        record = {**asdict(self), "probabilities": dict(self.probabilities), "warnings": list(self.warnings)}
        for name in ("labels", "score", "vector"):
            if record[name] is None:
                record.pop(name)
        if self.vector is not None:
            record["vector"] = list(self.vector)
        return record
