"""Tags of every scheme with the entities that seqeval reads from them: what Python and the three apps are held to.

    python -m tests.apps.entities

writes `entities.jsonl` anew; it needs `pip install seqeval==1.2.2`, which nothing else here does. A line has `scheme`,
`labels`, `tags` (class ids) and `entities`, each with type, first word and the word behind its last. seqeval's default
mode knows B, I, E and S. So it gets L as E, U as S, M as I, types without a prefix with I-, other spellings as it
writes them, and plain tags as S-.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parent / "entities.jsonl"
EACH, LONGEST = 12, 14
PREFIXES = {"BIO": "BI", "IOB1": "BI", "IO": "I", "IOBES": "BIES", "BILOU": "BILU"}
AS_SEQEVAL = {"L": "E", "U": "S", "M": "I"}
KINDS = ("PER", "work-of-art", "S", "b_c")


def spellings() -> Iterator[tuple[str, list[str], list[str]]]:
    """Scheme, labels, and the labels as seqeval knows them."""
    for scheme, prefixes in PREFIXES.items():
        pairs = [(prefix, kind) for kind in KINDS for prefix in prefixes]
        known = ["O", *(f"{AS_SEQEVAL.get(prefix, prefix)}-{kind}" for prefix, kind in pairs)]
        yield scheme, ["O", *(f"{prefix}-{kind}" for prefix, kind in pairs)], known
        yield scheme, ["o", *(f"{prefix.lower()}_{kind}" for prefix, kind in pairs)], known
        yield scheme, known[1:], known[1:]  # every word is of an entity
        yield scheme, ["O", *prefixes], ["O", *(AS_SEQEVAL.get(prefix, prefix) for prefix in prefixes)]
    yield "IOBES", list("BMES"), list("BIES")
    yield "types", ["O", *KINDS, "I-PER"], ["O", *(f"I-{kind}" for kind in KINDS), "I-I-PER"]
    yield "plain", ["NOUN", "O", "B-PER", "x"], ["S-NOUN", "S-O", "S-B-PER", "S-x"]


def vectors(each: int, seed: int) -> Iterator[dict[str, Any]]:
    """Random tags, `each` rows for each way to spell a scheme."""
    from seqeval.metrics.sequence_labeling import get_entities

    drawn = random.Random(seed)
    for scheme, labels, known in spellings():
        for _ in range(each):
            tags = drawn.choices(range(len(labels)), k=drawn.randint(1, LONGEST))
            found = get_entities([known[tag] for tag in tags])
            entities = [["" if kind == "_" else kind, first, last + 1] for kind, first, last in found]
            yield {"scheme": scheme, "labels": labels, "tags": tags, "entities": entities}


def main() -> None:
    """Write the vectors."""
    lines = [json.dumps(vector, separators=(",", ":")) + "\n" for vector in vectors(EACH, seed=0)]
    VECTORS.write_text("".join(lines), encoding="ascii")


if __name__ == "__main__":
    main()
