"""A teacher and data that are good, for attacks to spoil one of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attacks.run import Outcome, attack
from tests.teacher.tiny import write_teacher

ROWS = [("play the song", "pos"), ("stop the music now", "neg")] * 8
EVALUATION = [("stop the song", "neg"), ("play the music", "pos")]
Plan = Callable[..., Outcome]


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    write_teacher(folder / "teacher")
    for name, rows in (("train", ROWS), ("eval", EVALUATION)):
        lines = "".join(f"{text}\t{label}\n" for text, label in rows)
        (folder / f"{name}.tsv").write_text(f"text\tlabel\n{lines}")
    return folder


@pytest.fixture
def place(good: Path, tmp_path: Path) -> Path:
    """A copy of teacher and data to spoil."""
    return Path(shutil.copytree(good, tmp_path / "in"))


@pytest.fixture
def plan(place: Path) -> Plan:
    """`edgepack plan` on what is in `place`; `train` names the training data there."""

    def run(train: str = "train.tsv", codes: tuple[int, ...] = (2,), evaluation: str = "eval.tsv") -> Outcome:
        inputs = ["-m", str(place / "teacher"), "-d", str(place / train), "--eval", str(place / evaluation)]
        return attack("plan", *inputs, "-b", "300kB", "-t", "android-onnx", "--allow-untrained", "--quiet", codes=codes)

    return run
