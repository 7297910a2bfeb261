"""Bad input through the command line: one clear line, exit code 2, no traceback.

Each case spoils one thing of an input that is otherwise good; the first test shows that the input is good.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForSequenceClassification

from edgepack.cli import main
from edgepack.demo.base import make_tokenizer
from edgepack.task.scoring import MULTI_LABEL, SINGLE_LABEL

ROWS = [("a fine film", "good"), ("a dull film", "bad"), ("bright and fine", "good"), ("dull and slow", "bad")] * 4
EVALUATION = [("fine and bright", "good"), ("slow and dull", "bad"), ("a slow film", "bad"), ("a bright film", "good")]
GOOD_LINE = '{"text": "a fine film", "label": "good"}\n'


@dataclass
class Inputs:
    """A teacher, data and flags in a folder of their own, for a case to spoil."""

    folder: Path
    flags: dict[str, str | None]

    @property
    def teacher(self) -> Path:
        return self.folder / "teacher"

    def write(self, name: str, data: str | bytes, flag: str = "-d") -> None:
        """Put a file in place of what `flag` names."""
        path = self.folder / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        self.flags[flag] = str(path)

    def configure(self, **entries: object) -> None:
        """Change entries of the teacher's config.json."""
        path = self.teacher / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))

    def arguments(self, *command: str) -> list[str]:
        named = [part for flag, value in self.flags.items() for part in ([flag] if value is None else [flag, value])]
        return [*command, *named]


def tsv(rows: list[tuple[str, str]], header: str = "sentence\tlabel") -> str:
    return "\n".join([header, *("\t".join(row) for row in rows)]) + "\n"


@pytest.fixture(scope="session")
def good_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny teacher, random but for its head's bias towards nothing, and its data."""
    folder = tmp_path_factory.mktemp("good")
    tokenizer = make_tokenizer([text for text, _ in ROWS])
    tokenizer.save_pretrained(folder / "teacher")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
        id2label={0: "bad", 1: "good"},
        label2id={"bad": 0, "good": 1},
    )
    BertForSequenceClassification(config).save_pretrained(folder / "teacher")
    (folder / "train.tsv").write_text(tsv(ROWS))
    (folder / "dev.tsv").write_text(tsv(EVALUATION))
    (folder / "tags.jsonl").write_text('{"tokens": ["a", "film"], "ner_tags": [0, 1]}\n')
    return folder


@pytest.fixture
def inputs(good_folder: Path, tmp_path: Path) -> Inputs:
    folder = tmp_path / "in"
    shutil.copytree(good_folder, folder)
    flags: dict[str, str | None] = {
        "-m": str(folder / "teacher"),
        "-d": str(folder / "train.tsv"),
        "--eval": str(folder / "dev.tsv"),
        "-b": "500kB",
        "-t": "android-onnx",
        "--allow-untrained": None,
        "--quiet": None,
    }
    return Inputs(folder, flags)


def assert_one_line(result: Result, expected: str) -> None:
    assert result.exit_code == 2, result.output + repr(result.exception)
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    errors = [line for line in lines if line.lower().startswith("error:")]
    assert len(errors) == 1, result.stderr
    assert lines[-1] == errors[0]
    assert errors[0].startswith("Error:") or len(lines) == 1, result.stderr  # click shows the usage first
    assert expected in errors[0]
    assert len(errors[0]) < 600


def flag(name: str, value: str | None) -> Callable[[Inputs], None]:
    return lambda inputs: inputs.flags.update({name: value})


def without(name: str) -> Callable[[Inputs], None]:
    return lambda inputs: inputs.flags.pop(name) and None


def data(name: str, content: str | bytes, place: str = "-d") -> Callable[[Inputs], None]:
    return lambda inputs: inputs.write(name, content, place)


def config(**entries: object) -> Callable[[Inputs], None]:
    return lambda inputs: inputs.configure(**entries)


def both(first: Callable[[Inputs], None], second: Callable[[Inputs], None]) -> Callable[[Inputs], None]:
    def change(inputs: Inputs) -> None:
        first(inputs)
        second(inputs)

    return change


def remove(name: str) -> Callable[[Inputs], None]:
    return lambda inputs: (inputs.teacher / name).unlink()


def overwrite(name: str, content: bytes) -> Callable[[Inputs], None]:
    return lambda inputs: (inputs.teacher / name).write_bytes(content) and None


def drop_head(inputs: Inputs) -> None:
    path = inputs.teacher / "model.safetensors"
    tensors = {name: t for name, t in load_file(path).items() if not name.startswith("classifier")}
    save_file(tensors, path, metadata={"format": "pt"})


def hostile_pickle(inputs: Inputs) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {inputs.folder / 'executed'}",)

    (inputs.teacher / "model.safetensors").unlink()
    torch.save({"x": Hostile()}, inputs.teacher / "pytorch_model.bin")


def drop_tokenizer(inputs: Inputs) -> None:
    for path in inputs.teacher.glob("tokenizer*"):
        path.unlink()


def same_bytes(inputs: Inputs) -> None:
    inputs.write("copy.tsv", (inputs.folder / "train.tsv").read_bytes(), "--eval")


CASES: dict[str, tuple[Callable[[Inputs], object], str]] = {
    # data
    "data: no such file": (flag("-d", "nowhere.tsv"), "no such file"),
    "data: a folder": (lambda i: i.flags.update({"-d": str(i.folder)}), "is a folder"),
    "data: unknown suffix": (data("train.xlsx", b"PK"), ".tsv, .csv"),
    "data: empty": (data("train.tsv", ""), "empty"),
    "data: header only": (data("train.tsv", "sentence\tlabel\n"), "train.tsv"),
    "data: not UTF-8": (data("train.tsv", tsv(ROWS).encode() + "caf\xe9\tgood\n".encode("latin-1")), "train.tsv:18"),
    "data: UTF-16": (data("train.tsv", tsv(ROWS).encode("utf-16")), "not UTF-8"),
    "data: too many fields": (data("train.tsv", tsv([*ROWS, ("a\tb", "good")])), "train.tsv:18"),
    "data: too few fields": (data("train.tsv", tsv(ROWS) + "alone\n"), "train.tsv:18"),
    "data: unknown label": (data("train.tsv", tsv([*ROWS, ("so so", "medium")])), "medium"),
    "data: class id out of range": (data("train.tsv", tsv([("a", "0"), ("b", "7")])), "bad, good"),
    "data: empty label": (data("train.tsv", tsv([*ROWS, ("so so", "")])), "train.tsv:18"),
    "data: no text column": (data("train.tsv", tsv(ROWS, "smell\tlabel")), "smell, label"),
    "data: no label column": (data("train.tsv", tsv(ROWS, "sentence\tsmell")), "sentence, smell"),
    "data: named column is not there": (flag("--text-column", "review"), "review"),
    "data: a column twice": (data("train.tsv", tsv(ROWS, "label\tlabel")), "twice"),
    "data: broken JSON": (data("train.jsonl", '{"text": "a", "label": "good"}\n{"text": \n'), "train.jsonl:2"),
    "data: JSON that is no object": (data("train.jsonl", '["a", "good"]\n'), "train.jsonl:1"),
    "data: broken Parquet": (data("train.parquet", b"PAR1 and no more"), "Parquet"),
    "data: open quote in CSV": (data("train.csv", 'text,label\n"a fine film,good\n'), "train.csv"),
    "data: train and eval are one file": (lambda i: i.flags.update({"--eval": i.flags["-d"]}), "same"),
    "data: eval is a copy of train": (same_bytes, "same"),
    "data: half a character": (
        data("train.jsonl", GOOD_LINE + '{"text": "a \\ud83d", "label": "good"}\n'),
        "train.jsonl:2",
    ),
    "data: nested without end": (data("train.jsonl", GOOD_LINE + '{"text": ' + "[" * 100_000), "train.jsonl:2"),
    "data: multi-label": (
        both(data("train.jsonl", '{"text": "a", "labels": [0.0, 1.0]}\n'), config(problem_type=SINGLE_LABEL)),
        "multi-label",
    ),
    "data: names and class ids": (data("train.tsv", tsv([*ROWS, ("so so", "1")])), "write all labels in one way"),
    "data: label names that are too few": (flag("--labels", "bad"), "2 or more are needed"),
    "eval: a single class": (data("dev.tsv", tsv(EVALUATION[1:3]), "--eval"), "the same label, 'bad'"),
    "eval: no such file": (flag("--eval", "nowhere.csv"), "no such file"),
    "eval: unknown label": (data("dev.tsv", tsv([("so so", "medium")]), "--eval"), "medium"),
    "eval: header only": (data("dev.tsv", "sentence\tlabel\n", "--eval"), "dev.tsv"),
    "text: no such file": (flag("--raw-text", "nowhere.txt"), "does not exist"),
    # teachers
    "teacher: no such folder": (flag("-m", "./nowhere/teacher"), "nowhere/teacher"),
    "teacher: hub id that cannot be had": (flag("-m", "nobody/has-this-teacher"), "nobody/has-this-teacher"),
    "teacher: a file": (lambda i: i.flags.update({"-m": i.flags["-d"]}), "is a file"),
    "teacher: no config": (remove("config.json"), "config.json"),
    "teacher: config is not JSON": (overwrite("config.json", b"{"), "not valid JSON"),
    "teacher: another family": (config(model_type="gpt2"), "not fine-tuned for text-classification"),
    "teacher: an encoder with a decoder": (config(model_type="bart"), "an encoder with a decoder"),
    "teacher: config of a wrong type": (config(hidden_size="wide"), "config.json"),
    "teacher: remote code": (config(auto_map={"AutoModel": "x.Y"}), "auto_map"),
    "teacher: no head": (config(architectures=["BertModel"]), "edgepack finetune"),
    "teacher: head's weights are missing": (drop_head, "teacher"),
    "teacher: a regression": (config(problem_type="regression"), "regression"),
    "teacher: thresholds of other labels": (config(problem_type=MULTI_LABEL, thresholds=[0.5]), "thresholds"),
    "teacher: no weights": (remove("model.safetensors"), "no weights"),
    "teacher: broken weights": (overwrite("model.safetensors", b"\x08\0\0\0\0\0\0\0{}{}{}{}"), "weights do not load"),
    "teacher: weights of another shape": (config(intermediate_size=96), "weights"),
    "teacher: hostile pickle": (hostile_pickle, "weights do not load"),
    "teacher: no tokenizer": (drop_tokenizer, "no tokenizer"),
    "teacher: broken tokenizer": (overwrite("tokenizer.json", b"{}"), "tokenizer"),
    "teacher: not trained": (without("--allow-untrained"), "--allow-untrained"),
    "teacher: another task": (flag("--task", "token-classification"), "token-classification"),
    # flags and budgets
    "flag: unknown": (flag("--colour", "red"), "--colour"),
    "flag: no teacher": (without("-m"), "--model"),
    "flag: no budget": (without("-b"), "--budget"),
    "flag: no target": (without("-t"), "--target"),
    "flag: unknown task": (flag("--task", "summarization"), "text-classification"),
    "flag: unknown effort": (flag("--effort", "heroic"), "quick"),
    "flag: negative seed": (flag("--seed", "-1"), "-1"),
    "flag: a seed that no generator takes": (flag("--seed", str(2**64)), str(2**64)),
    "flag: unknown target": (flag("-t", "android-onxx"), "android-onnx"),
    "flag: max drop without a unit": (flag("--max-drop", "2"), "2% or 0.02"),
    "flag: max length of two": (flag("--max-length", "2"), "8"),
    "flag: max length beyond the teacher's": (flag("--max-length", "4096"), "32"),
    "flag: no such device": (flag("--device", "abacus"), "abacus"),
    "budget: not a size": (flag("-b", "4 apples"), "4MB"),
    "budget: nothing": (flag("-b", "0"), "4MB"),
    "budget: negative": (flag("-b", "-4MB"), "-4MB"),
    "budget: too small for any shape": (flag("-b", "100"), "100"),
}


def test_the_unspoiled_input_is_good(inputs: Inputs) -> None:
    result = CliRunner().invoke(main, inputs.arguments("plan"))
    assert result.exit_code == 0, result.output


def test_how_labels_were_read_is_said(inputs: Inputs) -> None:
    inputs.flags.pop("--quiet")
    numbers = [(text, str(["bad", "good"].index(label))) for text, label in ROWS]
    inputs.write("numbers.tsv", tsv(numbers))
    result = CliRunner().invoke(main, inputs.arguments("plan"))
    assert result.exit_code == 0, result.output
    assert "numbers.tsv: labels are read as class ids: 0 = bad, 1 = good" in result.stderr
    assert "numbers.tsv: 12 of 16 examples repeat an earlier text" in result.stderr
    inputs.flags["--labels"] = "good,bad"
    result = CliRunner().invoke(main, inputs.arguments("plan"))
    assert result.exit_code == 0, result.output
    assert "integer labels are named by --labels: 0 = good, 1 = bad" in " ".join(result.stderr.split())


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_one_line_and_2(inputs: Inputs, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(inputs.folder)
    spoil, expected = CASES[name]
    spoil(inputs)
    assert_one_line(CliRunner().invoke(main, inputs.arguments("plan")), expected)
    assert not (inputs.folder / "executed").exists()


OUTPUTS: dict[str, tuple[str, str]] = {
    "a file": ("in/train.tsv", "is a file"),
    "holds other things": ("in", "something else"),
    "below a file": ("in/train.tsv/out", "train.tsv"),
    "far below a file": ("in/train.tsv/new/out", "train.tsv' is a file"),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_bad_output_is_one_line_and_2(inputs: Inputs, name: str) -> None:
    place, expected = OUTPUTS[name]
    before = sorted(inputs.folder.rglob("*"))
    arguments = inputs.arguments("build", "-o", str(inputs.folder.parent / place))
    for more in ((), ("--dry-run",)):
        assert_one_line(CliRunner().invoke(main, [*arguments, *more]), expected)
    assert sorted(inputs.folder.rglob("*")) == before


OTHERS: dict[str, tuple[list[str], str]] = {
    "no command of this name": (["bulid"], "bulid"),
    "gate: nothing to check": (["gate"], "BUNDLES"),
    "gate: no such folder": (["gate", "nowhere"], "nowhere"),
    "gate: no bundle": (["gate", "teacher", "--quiet"], "no bundle"),
    "gate: no such policy": (["gate", "teacher", "--policy", "nowhere.toml"], "nowhere.toml"),
    "gate: broken policy": (["gate", "teacher", "--policy", "train.tsv", "--quiet"], "train.tsv"),
    "package: no bundle": (["package", "teacher", "--app", "android", "-o", "app"], "no bundle"),
    "package: unknown app": (["package", "teacher", "--app", "toaster", "-o", "app"], "toaster"),
    "report: no build": (["report", "teacher"], "no build"),
    "targets: unknown": (["targets", "toaster"], "toaster"),
    "finetune: output in use": (
        ["finetune", "-m", "teacher", "-d", "train.tsv", "--eval", "dev.tsv", "-o", "teacher", "--quiet"],
        "teacher",
    ),
    "finetune: integer tags without names": (
        ["finetune", "-m", "teacher", "-d", "tags.jsonl", "--eval", "dev.tsv", "-o", "new", "--quiet"],
        "--labels",
    ),
    "finetune: a base of no name": (
        ["finetune", "-m", "", "-d", "train.tsv", "--eval", "dev.tsv", "-o", "new", "--quiet"],
        "empty; give a value",
    ),
    "finetune: labels of no name": (
        ["finetune", "-m", "teacher", "-d", "train.tsv", "--eval", "dev.tsv", "-o", "new", "--labels", ""],
        "--labels",
    ),
    "finetune: no such base": (
        ["finetune", "-m", "./nowhere", "-d", "train.tsv", "--eval", "dev.tsv", "-o", "new", "--quiet"],
        "nowhere",
    ),
    "finetune: learning rate of nothing": (
        ["finetune", "-m", "teacher", "-d", "train.tsv", "--eval", "dev.tsv", "-o", "new", "--learning-rate", "0"],
        "learning-rate",
    ),
}
STAGES: dict[str, tuple[list[str], str]] = {
    "export: no student": (["export", "teacher", "-t", "android-onnx", "-o", "out", "--quiet"], "student"),
    "export: no place": (["export", "teacher", "-t", "android-onnx", "-o", ""], "names no folder"),
    "export: below a file": (
        ["export", "teacher", "-t", "android-onnx", "-o", "train.tsv/x/y"],
        "train.tsv' is a file",
    ),
    "export: into the student": (
        ["export", "teacher", "-t", "android-onnx", "-o", "teacher/out", "--quiet"],
        "lies in the student",
    ),
    "export: unknown width": (
        ["export", "teacher", "-t", "android-onnx", "-o", "out", "--body-bits", "5"],
        "body-bits",
    ),
    "validate: no build": (["validate", "teacher", "--quiet"], "teacher"),
    "bundle: no build": (["bundle", "teacher", "--quiet"], "teacher"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_bad_input_of_other_commands(inputs: Inputs, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(inputs.folder)
    arguments, expected = OTHERS[name]
    assert_one_line(CliRunner().invoke(main, arguments), expected)


@pytest.mark.parametrize("name", STAGES)
def test_bad_input_of_single_stages(inputs: Inputs, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(inputs.folder)
    arguments, expected = STAGES[name]
    assert_one_line(CliRunner().invoke(main, arguments), expected)


def test_thirty_kinds_and_more() -> None:
    assert len(CASES) + len(OUTPUTS) + len(OTHERS) + len(STAGES) >= 30
