"""Faults that only bundles of vectors can have: size and length of vectors, labels, goldens without any."""

from __future__ import annotations

import json
from pathlib import Path

from tests.evidence.planted import EVERYWHERE, NOT, Fault, Plant, each_golden, put
from tests.evidence.set_faults import no_key
from tests.evidence.vector_world import SIZE

M, C = "edgepack.json", "config.json"
KIND = "vectors"


def longer(bundle: Path) -> None:
    """Vectors of length 2 in every golden."""
    path = bundle / "golden.jsonl"
    goldens = [json.loads(line) for line in path.read_text().splitlines()]
    for golden in goldens:
        golden["logits"] = [2 * number for number in golden["logits"]]
    path.write_text("".join(json.dumps(golden) + "\n" for golden in goldens))


PLANTS: list[tuple[str, str, dict[str, Plant]]] = [
    (
        NOT,
        "consistency",
        {
            "no_vector": no_key(M, "vector"),
            "another_size": put(M, "vector", "size", to=SIZE // 2),
            "labels": put(M, "labels", to=["a", "b"]),
            "a_temperature": put(M, "temperature", to=2.0),
            "another_pooling": put(M, "vector", "pooling", to="max"),
            "another_measure": put(M, "vector", "judged", to="queries"),
            "another_task": put(M, "task", to="text-classification"),
        },
    ),
    (
        NOT,
        "artifact",
        {"another_output": put(M, "outputs", to=[{"name": "logits", "dtype": "float32", "shape": ["batch", SIZE]}])},
    ),
    (EVERYWHERE, "consistency", {"labels_in_config_json": put(C, "id2label", to={"0": "a"})}),
    (
        EVERYWHERE,
        "goldens",
        {
            "zeros": each_golden(logits=[0.0] * SIZE),
            "half_a_vector": each_golden(logits=[1.0] + [0.0] * (SIZE // 2 - 1)),
            "vectors_of_length_2": longer,
            "another_vector": each_golden(logits=[1.0] + [0.0] * (SIZE - 1)),
        },
    ),
]
VECTOR_FAULTS = [
    Fault(KIND, name.replace("_", " "), plant, mend, caught_by)
    for mend, caught_by, plants in PLANTS
    for name, plant in plants.items()
]
