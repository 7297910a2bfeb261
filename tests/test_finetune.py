"""A teacher made on the spot: learns, loads, repeats, and never stands half-written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertModel

from edgepack import finetune as module
from edgepack.console import Console
from edgepack.demo.base import make_tokenizer
from edgepack.errors import InputError
from edgepack.finetune import FinetuneResult, finetune
from edgepack.inference import predict
from edgepack.task.examples import Columns, read_dataset
from edgepack.task.tokenize import encode
from edgepack.teacher import load_teacher

WORDS = {"light": ["lamp", "bright", "dim"], "music": ["song", "play", "tune"], "time": ["clock", "alarm", "hour"]}


@dataclass(frozen=True)
class Files:
    base: str
    train: str
    evaluation: str


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("finetune")
    generator = np.random.default_rng(0)
    rows = [
        (f"{filler} {word} {number}", label)
        for label, words in WORDS.items()
        for word in words
        for filler in ("my", "the", "a", "please")
        for number in ("one", "two", "three")
    ]
    order = generator.permutation(len(rows))
    for name, chosen in (("train", order[:80]), ("eval", order[80:])):
        body = "".join(f"{rows[i][0]}\t{rows[i][1]}\n" for i in chosen)
        (folder / f"{name}.tsv").write_text("text\tlabel\n" + body)
    write_base(folder / "base", BertModel, [text for text, _ in rows])
    return Files(str(folder / "base"), str(folder / "train.tsv"), str(folder / "eval.tsv"))


def write_base(folder: Path, model_class: type, sentences: list[str]) -> None:
    tokenizer = make_tokenizer(sentences)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    model_class(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=32, **shape)).save_pretrained(folder)


def run(files: Files, output: Path, **changes: Any) -> FinetuneResult:
    settings: dict[str, Any] = {
        "columns": Columns(),
        "epochs": 8,
        "batch_size": 8,
        "learning_rate": 5e-3,
        "seed": 0,
        "max_length": None,
        "console": Console(quiet=True),
    }
    paths = {"base": files.base, "train": files.train, "evaluation": files.evaluation, "output": output}
    return finetune(**{**paths, **settings, **changes})


def test_the_result_is_a_teacher_that_has_learnt(files: Files, tmp_path: Path) -> None:
    result = run(files, tmp_path / "out")
    assert result.n == 28
    assert result.metric > 0.9
    teacher = load_teacher(str(tmp_path / "out"))
    assert teacher.task.labels == ("light", "music", "time")
    assert teacher.tokenizer.backend_tokenizer.truncation is None
    held_out = encode(read_dataset(files.evaluation, teacher.task), teacher.task, teacher.tokenizer, 16)
    statistics = teacher.task.statistics(predict(teacher.load_model(), held_out), held_out)
    assert teacher.task.metric(statistics.sum(axis=0)) == result.metric
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_the_same_seed_gives_the_same_teacher(files: Files, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(files, tmp_path / name, epochs=1, seed=seed)
    a, b, c = (load_teacher(str(tmp_path / name)).sha256 for name in "abc")
    assert a == b
    assert a != c


def test_tagging(files: Files, tmp_path: Path) -> None:
    rows = [f'{{"tokens": ["play", "song", "{n}"], "tags": ["O", "B-x", "I-x"]}}' for n in ("one", "two", "three")]
    for name, chosen in (("train", rows[:2]), ("eval", rows[2:])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(chosen))
    train, evaluation = (str(tmp_path / f"{name}.jsonl") for name in ("train", "eval"))
    result = run(files, tmp_path / "out", train=train, evaluation=evaluation, epochs=20, batch_size=2)
    assert result.metric == 1.0
    assert load_teacher(str(tmp_path / "out")).task.labels == ("O", "B-x", "I-x")


def test_another_head_is_replaced(files: Files, tmp_path: Path) -> None:
    write_base(tmp_path / "lm", BertForMaskedLM, Path(files.train).read_text().split())
    assert run(files, tmp_path / "out", base=str(tmp_path / "lm"), epochs=1).n == 28
    tagged = '{"tokens": ["lamp"], "tags": ["B-x"]}\n'
    (tmp_path / "a.jsonl").write_text(tagged)
    (tmp_path / "b.jsonl").write_text(tagged * 2)
    data = {"train": str(tmp_path / "b.jsonl"), "evaluation": str(tmp_path / "a.jsonl")}
    run(files, tmp_path / "tagger", base=str(tmp_path / "out"), epochs=1, **data)
    assert load_teacher(str(tmp_path / "tagger")).task.labels == ("O", "B-x", "I-x")


def test_shared_examples_are_warned_of(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = Path(files.train).read_text().splitlines()
    (tmp_path / "eval.tsv").write_text("\n".join([*lines[:4], "new text\tlight"]))
    run(files, tmp_path / "out", evaluation=str(tmp_path / "eval.tsv"), epochs=1)
    assert "3 of 4 evaluation examples also stand in the training data" in capsys.readouterr().err


def test_a_failed_save_leaves_nothing(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(module, "publish_folder", fail)
    with pytest.raises(OSError, match="disk full"):
        run(files, tmp_path / "out", epochs=1)
    assert list(tmp_path.iterdir()) == []


def test_bad_settings(files: Files, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    (tmp_path / "one.tsv").write_text("text\tlabel\na\tx\n")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"output": tmp_path / "full"}, "not an empty folder"),
        ({"output": tmp_path / "full" / "x"}, "not an empty folder"),
        ({"max_length": 64}, "max length is 64; base allows at most 32 tokens"),
        ({"evaluation": files.train}, "same data"),
        ({"train": str(tmp_path / "one.tsv")}, "its only label is 'x'"),
        ({"base": str(tmp_path)}, r"no config\.json"),
    ]
    for changes, message in cases:
        with pytest.raises(InputError, match=message):
            run(files, **{"output": tmp_path / "out", **changes})
    assert not (tmp_path / "out").exists()
