"""docs/adding-a-target.md is true: a target that is added by doing what the page says plans, exports and runs."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import import_module, invalidate_caches
from pathlib import Path

import numpy as np
import pytest
import torch

from edgepack.errors import InputError
from edgepack.export import EXPORTERS, export
from edgepack.plan.size import SIZE_MODELS, model_size
from edgepack.runtime import RUNTIMES, load
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.target import Target, parse_target

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "adding-a-target.md").read_text(encoding="utf-8")
FILE = re.compile(r"`((?:targets|edgepack)/[\w/.-]+)`:\n\n```\w+\n(.*?)```", re.DOTALL)
LINE = re.compile(r"^\| `([A-Z_]+)` \| `\"([\w-]+)\": (.+?)` \|$", re.MULTILINE)


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """The page's files on the path, its lines in the registries."""
    files = dict(FILE.findall(PAGE))
    names = {}
    for path, text in files.items():
        if path.endswith(".py"):
            module = f"added_{Path(path).parent.name}_{Path(path).stem}"
            names[path.removesuffix(".py").replace("/", ".")] = module
            (tmp_path / f"{module}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    invalidate_caches()
    registries = {"EXPORTERS": EXPORTERS, "RUNTIMES": RUNTIMES, "SIZE_MODELS": SIZE_MODELS}
    lines = LINE.findall(PAGE)
    assert {registry for registry, _, _ in lines} == set(registries)
    for registry, key, value in lines:
        module, function = value.strip('"').split(":")
        place = f"{names[module]}:{function}"
        added = getattr(import_module(names[module]), function) if registry == "SIZE_MODELS" else place
        monkeypatch.setitem(registries[registry], key, added)
    (path,) = [path for path in files if path.endswith(".toml")]
    yield parse_target(Path(path).stem, files[path])
    for module in names.values():
        sys.modules.pop(module, None)


@pytest.mark.parametrize("task", ["text-classification", "token-classification"])
def test_the_pages_target_plans_exports_and_runs(task: str, target: Target, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = StudentConfig(
        body_bits=8, embedding_bits=8,
        vocab_size=30, embedding_size=8, hidden_size=16, num_hidden_layers=2, num_heads=[2, 2], head_sizes=[8, 8],
        intermediate_sizes=[24, 24], max_position_embeddings=12, num_labels=3, task=task,
        head_act=None if task == "token-classification" else "tanh",
    )  # fmt: skip
    student = Student(config).eval()
    student.set_bits(8, 8)
    student.round_vectors()
    artifact = export(student, target, tmp_path / "out")
    assert artifact.size_bytes == model_size(config, target).total
    session = load(artifact.path, target)
    for length in (1, 5, 12):
        ids = torch.randint(0, 30, (1, length))
        with torch.no_grad():
            expected = student(ids).logits.numpy()
        got = session.run({"input_ids": ids.numpy(), "attention_mask": np.ones((1, length), np.int64)})
        np.testing.assert_allclose(got, expected, rtol=0, atol=0.01)
    artifact.path.write_bytes(artifact.path.read_bytes()[:-1] + b"?")
    with pytest.raises(InputError, match="is damaged"):
        load(artifact.path, target)


def test_the_page_names_every_key_of_a_target() -> None:
    table = PAGE.split("| key |")[1].split("\n\n")[0]
    named = set(re.findall(r"`(\w+)`", table))
    assert {field for field in Target.__dataclass_fields__ if field != "name"} <= named
