"""A whole build of tags that a small student contradicts itself in: the chain from held-out examples to the gate."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack.bundle.manifest import MANIFEST_NAME, load_manifest, read_model, task_of
from edgepack.bundle.verdict import VERDICT_NAME, Verdict
from edgepack.evidence.calls import gate_bundles
from edgepack.finetune import Options
from edgepack.predict import Bundle, predict_data
from tests.builds.tiny import TARGETS, Files, build_shortly, make_teacher

FIRST = {"play": "song", "visit": "city", "buy": "thing", "call": "friend"}
FILLERS = [a + b for a in "bcdfgklmnprst" for b in ("a", "eb", "ig")]


def sentence(generator: np.random.Generator) -> dict[str, Any]:
    """A name of two to eight words, any of them, behind the word that tells its type; a name's words tell nothing."""
    verb = str(generator.choice([*FIRST]))
    name = [str(word) for word in generator.choice(FILLERS, generator.integers(2, 9))]
    kind = FIRST[verb]
    tags = ["O", f"B-{kind}", *[f"I-{kind}"] * (len(name) - 1), "O"]
    return {"tokens": [verb, *name, "now"], "tags": tags}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder, generator = tmp_path_factory.mktemp("chain"), np.random.default_rng(0)
    rows = [sentence(generator) for _ in range(800)]
    for name, chosen in (("train", rows[:700]), ("eval", rows[700:])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in chosen))
    options = Options(epochs=3, batch_size=16, learning_rate=1e-3, label_smoothing=0.0, held_out=0.0)
    return make_teacher(folder, [" ".join(row["tokens"]) for row in rows], options, suffix="jsonl")[0]


@pytest.fixture(scope="module")
def output(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_shortly(files, tmp_path_factory.mktemp("build") / "out", max_drop=1.0, timed=False)


def test_the_bundle_has_the_chain_and_is_measured_by_it(output: Path, files: Files) -> None:
    for target in TARGETS:
        folder = output / "bundles" / target
        manifest, verdict = load_manifest(folder), read_model(folder / VERDICT_NAME, Verdict)
        assert manifest.chain is not None
        chain = task_of(manifest).chain
        assert chain is not None
        place = {label: number for number, label in enumerate(manifest.labels)}
        seen = {(before, behind) for before, behind, _ in chain.pairs}
        assert (place["B-song"], place["I-song"]) in seen
        assert (place["B-song"], place["I-city"]) not in seen
        answers = predict_data(folder, files.evaluation, quiet=True)
        assert answers.metric is not None
        assert answers.metric.value == pytest.approx(verdict.metrics["artifact"].value, abs=1e-6)
    (same,) = {json.dumps(load_manifest(output / "bundles" / target).model_dump()["chain"]) for target in TARGETS}
    assert same
    assert gate_bundles([output / "bundles" / target for target in TARGETS], eval=files.evaluation).passed


def test_a_text_has_entities_of_one_type_each(output: Path) -> None:
    bundle = Bundle.load(output / "bundles" / TARGETS[0])
    for verb, kind in FIRST.items():
        (entity,) = bundle(f"{verb} ba ceb dig now").entities
        assert (entity.label, entity.text) == (kind, "ba ceb dig")


def other_scores(document: dict[str, Any]) -> None:
    document["chain"]["pairs"] = [f"{pair.rsplit(' ', 1)[0]} -9" for pair in document["chain"]["pairs"]]


def no_pair(document: dict[str, Any]) -> None:
    document["chain"]["pairs"][0] = "one two three"


def far_pair(document: dict[str, Any]) -> None:
    document["chain"]["pairs"][0] = "99 0 1.0"


def twice(document: dict[str, Any]) -> None:
    document["chain"]["pairs"].append(document["chain"]["pairs"][0])


def large_score(document: dict[str, Any]) -> None:
    document["chain"]["pairs"][0] = "0 0 800.5"


def many_labels(document: dict[str, Any]) -> None:
    document["labels"] += [f"I-kind{i}" for i in range(1_000)]


def large_unseen(document: dict[str, Any]) -> None:
    document["chain"]["unseen"] = 800.0


def no_number(document: dict[str, Any]) -> None:
    document["chain"]["unseen"] = "-5"


def removed(document: dict[str, Any]) -> None:
    del document["chain"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other_scores, "its tags are not those that the chain decides"),
        (no_pair, "is no pair of"),
        (far_pair, "is no pair of"),
        (twice, "the second of one pair"),
        (large_score, "is above 50"),
        (many_labels, "at most 1,000 have one"),
        (large_unseen, "chain.unseen"),
        (no_number, "chain.unseen"),
        (removed, "the manifest has none"),
    ],
)
def test_a_changed_chain_fails_the_gate(
    output: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(output / "bundles" / TARGETS[0], bundle)
    document = json.loads((bundle / MANIFEST_NAME).read_text())
    change(document)
    (bundle / MANIFEST_NAME).write_text(json.dumps(document))
    result = gate_bundles([bundle])
    assert not result.passed
    assert any(said in check.reason for each in result.bundles for check in each.checks)
