"""Faults that only bundles of vectors can have: size and length of vectors, labels, goldens without any."""

from __future__ import annotations

import json
from pathlib import Path

from tests.evidence.planted import EVERYWHERE, NOT, Fault, Plant, each_golden, put, read, replace
from tests.evidence.set_faults import no_key
from tests.evidence.vector_world import SIZE

M, C, V = "edgepack.json", "config.json", "verdict.json"
KIND = "vectors"


def first_twice(name: str) -> Plant:
    """The first record of a list in the verdict's analysis stands there again."""

    def plant(bundle: Path) -> None:
        found = read(bundle, V)["analysis"][name]
        put(V, "analysis", name, to=[*found, found[0]])(bundle)

    return plant


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
            "a_prompt": put(M, "vector", "query_prompt", to="query: "),
            "no_pooling": put(M, "vector", "pooling", to=None),
        },
    ),
    (
        NOT,
        "artifact",
        {"another_output": put(M, "outputs", to=[{"name": "logits", "dtype": "float32", "shape": ["batch", SIZE]}])},
    ),
    (NOT, "goldens", {"vectors_that_are_not_normalized": put(M, "vector", "normalized", to=False)}),
    (
        EVERYWHERE,
        "consistency",
        {
            "labels_in_config_json": put(C, "id2label", to={"0": "a"}),
            "a_prompt_on_the_card": replace("README.md", "- Answer: ", '- Prompts: "query: ".\n- Answer: '),
            "slice_beside_its_interval": put(V, "analysis", "vector_slices", 0, "cosine", to=0.5),
            "slice_worse": put(V, "analysis", "vector_slices", 0, "worse", to=True),
            "slice_twice": first_twice("vector_slices"),
            "cosine_to_the_teacher_above_1": put(V, "analysis", "others", 0, "artifact", "value", to=1.5),
            "no_cosine_to_the_teacher": put(V, "analysis", "others", to=[]),
        },
    ),
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
