"""Tags of a text's words decided together: what the three apps are held to.

    python -m tests.apps.chains

writes `chains.jsonl` anew. A line has `chain`, as JSON that a manifest may hold, and `count`, the number of labels.
Lines of one kind have `logits` of each token, `firsts` (the first token of each word), `temperature`, and of the answer
`tags` (class ids) and `probabilities`; those of the other are refused, and have nothing more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.bundle.manifest import ChainRecord, parse_model
from edgepack.task.probabilities import softmax
from edgepack.task.task import Task

VECTORS = Path(__file__).parent / "chains.jsonl"
COUNTS, LENGTHS = (2, 3, 5, 9, 17), (0, 1, 2, 5, 12, 40)
CLEAR = 1e-4  # between the probabilities of the likeliest tags: apps may compute with 32 bits
DAMAGED = (
    *("0 1", "0 1 1.0 2", "a 1 1.0", "0 1 1.0 ", " 0 1 1.0", "0  1 1.0", "0,1,1.0", "0\t1\t1.0", "0 1 1.0\n", ""),
    *("0 1 +1.0", "0 1 1e3", "0 1 .5", "0 1 1.", "0 1 -", "0 1 --1", "0 1 1.0.0", "0 1 12345", "0 1 1.23456"),
    *("0 1 nan", "0 1 0x1", "-1 1 1.0", "+1 1 1.0", "0 4 1.0", "4 0 1.0", "0000001 0 1.0", "1000000 0 1.0"),
    "\u0661 0 1.0",  # a digit of another script
)  # of three labels
TWICE = (["0 1 1.0", "0 1 1.0"], ["0 1 1.0", "2 2 0.5", "00 1 2.0"])
NO_RECORDS = (
    *('{"unseen": 1e999, "pairs": []}', '{"unseen": null, "pairs": []}', '{"pairs": []}', "[]", "3", "true"),
    *('{"unseen": -5.0}', '{"unseen": -5.0, "pairs": null}', '{"unseen": -5.0, "pairs": [5]}'),
)


def labels(count: int) -> tuple[str, ...]:
    """Tags, so many."""
    return ("O", *(f"{'BI'[i % 2]}-{i // 2}" for i in range(count - 1)))


def task_of(chain: str, count: int) -> Task:
    """The task of a manifest with this chain; `InputError` where it is damaged."""
    record = parse_model(chain.encode(), ChainRecord, "chain")
    return Task("token-classification", labels(count), chain=record.chain(count))


def answer(line: dict[str, Any]) -> dict[str, Any]:
    """What Python says of a line: `tags` and `probabilities`, and how `clear` the least clear tag is."""
    task, logits = task_of(line["chain"], line["count"]), np.array(line["logits"], np.float32)
    words = task.read_words(logits[line["firsts"]])
    shares = softmax(words / (line["temperature"] or 1.0))
    marginals = np.sort(np.exp(words), axis=1)
    return {
        "tags": shares.argmax(axis=1).tolist(),
        "probabilities": shares.max(axis=1).tolist(),
        "clear": min((marginals[:, -1] - marginals[:, -2]).tolist(), default=1.0),
    }


def vectors(seed: int) -> Iterator[dict[str, Any]]:
    """Random chains and logits with what Python says of them, then chains that are refused."""
    generator = np.random.default_rng(seed)
    for number, (count, length) in enumerate((count, length) for count in COUNTS for length in LENGTHS):
        found = None
        while found is None or found["clear"] < CLEAR:
            line = drawn(generator, count, length, number)
            found = answer(line)
        yield line | {name: found[name] for name in ("tags", "probabilities")}
    lists = [*([pair] for pair in DAMAGED), *TWICE]
    damaged = [json.dumps({"unseen": -5.0, "pairs": pairs}) for pairs in lists]
    yield from ({"chain": chain, "count": 3} for chain in (*damaged, *NO_RECORDS))


def drawn(generator: np.random.Generator, count: int, length: int, number: int) -> dict[str, Any]:
    """A chain and logits: some flat, so that the chain decides, some far apart, some with ±80 among them."""
    tokens = generator.integers(1, 3, size=length)  # of each word
    scale, size = (3.0, 0.3, 1.0, 5.0)[number % 4], (int(tokens.sum()) + 2, count)
    logits = np.round(generator.normal(size=size) * scale, 2)
    if number % 4 == 2:
        logits = np.where(generator.random(size) < 0.5, 80.0 * generator.choice([-1, 1], size), logits)
    return {
        "chain": json.dumps({"unseen": float(generator.choice([-5.0, -3.25, 0.0])), "pairs": pairs(generator, count)}),
        "count": count,
        "temperature": None if number % 5 == 0 else round(float(generator.uniform(0.3, 4)), 3),
        "firsts": (1 + np.cumsum(tokens) - tokens).tolist(),
        "logits": logits.tolist(),
    }


def pairs(generator: np.random.Generator, count: int) -> list[str]:
    """Scores of some pairs in any order, as a manifest may spell them; a few forbid their pair."""
    scores = np.round(generator.normal(size=(count + 1, count + 1)) * 2, 3)
    scores[generator.random(scores.shape) < 0.05] = -1000
    some = generator.permutation(np.argwhere(generator.random(scores.shape) < 0.6))
    return [f"{before} {behind} {scores[before, behind]:g}" for before, behind in some]


def lines() -> str:
    """The file's text."""
    return "".join(json.dumps(vector, separators=(",", ":")) + "\n" for vector in vectors(seed=0))


def main() -> None:
    """Write the vectors."""
    VECTORS.write_text(lines(), encoding="ascii")


if __name__ == "__main__":
    main()
