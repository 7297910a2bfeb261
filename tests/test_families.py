"""Each row of the table of teachers: a short build ends in bundles that pass, and those become the three apps."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgepack.build import recipe
from edgepack.build.flow import build
from edgepack.build.inputs import BuildRequest
from edgepack.compress.distil.soft_targets import SoftTargets
from edgepack.console import Console
from edgepack.evidence.gate import gate
from edgepack.package import AppOptions, package_bundle
from edgepack.tokenizer.asset import ASSET_NAME, MAGIC
from edgepack.train import Phase
from tests.teacher.table import ROWS, Row
from tests.teacher.tiny import NAMES, write_teacher
from tests.teacher.tokenizers import TOKENIZERS

pytestmark = pytest.mark.slow

WORDS = [
    "lamp",
    "bright",
    "dim",
    "song",
    "play",
    "tune",
    "clock",
    "alarm",
    "hour",
    "please",
    "now",
    "the",
    "my",
    "very",
    "quickly",
]
TARGET, APPS = "android-onnx", ("android", "ios", "web")  # all of which run its artifact
TASKS = ("text", "pair", "token")
BUDGET = 90_000
NO_STATES = ("funnel",)  # distilled by their predictions alone
CASES = [(row, TASKS[number % len(TASKS)]) for number, row in enumerate(ROWS)]
MUST_PASS = ("size", "parity", "finite", "goldens", "tokenizer", "integrity")


def write_data(folder: Path, task: str) -> tuple[Path, Path]:
    generator = np.random.default_rng(0)
    paths = []
    for name, count in (("train", 96), ("eval", 128)):  # of these one may flip, where two answers are as likely
        lines = []
        for _ in range(count):
            words = generator.choice(WORDS, generator.integers(2, 9)).tolist()
            label = NAMES["text"][int(generator.integers(0, 2))]
            if task == "token":
                lines.append({"tokens": words, "tags": ["B-x" if w in ("lamp", "song") else "O" for w in words]})
            elif task == "pair":
                lines.append({"sentence1": " ".join(words[:2]), "sentence2": " ".join(words[1:]), "label": label})
            else:
                lines.append({"text": " ".join(words), "label": label})
        paths.append(folder / f"{name}.jsonl")
        paths[-1].write_text("".join(json.dumps(line) + "\n" for line in lines))
    return paths[0], paths[1]


def short_recipe(family: str) -> recipe.Recipe:
    short = replace(recipe.RECIPES["quick"], examples_seen=160, batch_size=16)
    return replace(short, phases=(Phase(1.0, (SoftTargets(),)),)) if family in NO_STATES else short


@pytest.mark.parametrize(("row", "task"), CASES, ids=[f"{row.family}-{row.tokenizer}-{task}" for row, task in CASES])
def test_a_teacher_becomes_three_apps(row: Row, task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(recipe.RECIPES, "quick", short_recipe(row.family))
    tokenizer = TOKENIZERS[row.tokenizer]()
    write_teacher(tmp_path / "teacher", row.family, "token" if task == "token" else "text", tokenizer)
    train, evaluation = write_data(tmp_path, task)
    request = BuildRequest(
        str(tmp_path / "teacher"),
        str(train),
        str(evaluation),
        BUDGET,
        (TARGET,),
        tmp_path / "out",
        effort="quick",
        max_drop=0.99,
        allow_untrained=True,
        timed=False,
    )
    (made,) = build(request, Console(quiet=True)).bundles
    (result,) = gate([made.folder]).bundles
    status = {check.name: (check.status, check.reason) for check in result.checks}
    others = {name: status[name] for name in MUST_PASS if name in status and status[name][0] != "passed"}
    assert not others, others
    assert (made.folder / ASSET_NAME).read_bytes().startswith(MAGIC)
    for app in APPS:
        files = package_bundle(made.folder, app, tmp_path / app, AppOptions(), force_failed=True).files
        assert any(file.endswith(ASSET_NAME) for file in files), app
