"""A teacher made on the spot: learns, loads, repeats; the evaluation file decides nothing of it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from transformers import BertForMaskedLM

from edgepack.cli import main
from edgepack.errors import InputError
from edgepack.finetune import CLASS_WEIGHTS, Options, settings
from edgepack.finetune.held_out import held_out_count, split
from edgepack.inference import predict
from edgepack.task.examples import Dataset, read_dataset
from edgepack.task.tokenize import encode
from edgepack.teacher import Teacher, find_unseen, load_teacher
from edgepack.train.processes import find_device
from tests.finetune.tiny import Files, read_rows, run, weights, write_base, write_rows

CHOSEN = {"epochs": None, "batch_size": None, "learning_rate": None}


def metric_of(teacher: Teacher, data: Dataset) -> float:
    encoded = encode(data, teacher.task, teacher.tokenizer, 16)
    return teacher.task.score(predict(teacher.load_model(), encoded), encoded)


def test_without_options_it_learns(files: Files, tmp_path: Path) -> None:
    result = run(files, tmp_path / "out", **CHOSEN)
    assert (result.n, result.rows + result.held_out_rows) == (28, 80)
    assert result.metric > 0.9
    assert len(result.trials) == 1 + len(settings.TRIALS[1])
    assert any(trial.averaged for trial in result.trials)
    assert result.settings.seed == 0
    teacher = load_teacher(str(tmp_path / "out"))
    assert teacher.task.labels == ("light", "music", "time")
    assert teacher.tokenizer.backend_tokenizer.truncation is None
    assert metric_of(teacher, read_dataset(files.evaluation, teacher.task)) == result.metric
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]
    assert not (tmp_path / "out" / ".edgepack").exists()


def test_the_weights_kept_are_the_best_on_held_out_training_examples(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where labels are noise, the last weights are seldom the best on a slice."""
    monkeypatch.setattr(settings, "EVALUATE_STEPS", (8, 1_000))
    texts, labels = zip(*read_rows(files.train), strict=True)
    noise = [str(label) for label in np.random.default_rng(0).permutation(labels)]
    train = write_rows(tmp_path / "train.tsv", list(zip(texts, noise, strict=True)))
    result = run(files, tmp_path / "out", train=train, epochs=30)
    settled = [evaluation.metric or 0.0 for evaluation in result.history if evaluation.settled]
    assert result.kept.settled
    assert result.kept.metric == max(settled) > settled[-1]
    assert len(settled) < len(result.history)
    teacher = load_teacher(str(tmp_path / "out"))
    data = read_dataset(train, teacher.task)
    _, held = split(data.examples, held_out_count(len(data)), seed=0)
    slice_ = Dataset(tuple(data.examples[i] for i in held), data.source, data.sha256)
    assert metric_of(teacher, slice_) == result.kept.metric


def test_the_teacher_says_what_it_was_not_trained_on(files: Files, tmp_path: Path) -> None:
    run(files, tmp_path / "first")
    examples = read_dataset(files.train, load_teacher(str(tmp_path / "first")).task).examples
    _, held = split(examples, held_out_count(len(examples)), seed=0)
    unseen = find_unseen(tmp_path / "first", examples)
    assert unseen is not None
    assert unseen.tolist() == held.tolist()
    run(files, tmp_path / "second", base=str(tmp_path / "first"), seed=1)  # its base knows most of what it holds out
    _, other = split(examples, held_out_count(len(examples)), seed=1)
    both = find_unseen(tmp_path / "second", examples)
    assert both is not None
    assert set(held) & set(other) == set(both) != set(other)
    run(files, tmp_path / "all", held_out=0.0)
    none = find_unseen(tmp_path / "all", examples)
    assert none is not None
    assert not len(none)


@pytest.mark.parametrize("seed", range(3))
def test_the_evaluation_file_decides_nothing(files: Files, tmp_path: Path, seed: int) -> None:
    """Other labels, other texts (longer ones too), fewer rows: the same weights."""
    generator, rows = np.random.default_rng(seed), read_rows(files.evaluation)
    labels = generator.permutation([label for _, label in rows])
    shuffled = [(text, str(label)) for (text, _), label in zip(rows, labels, strict=True)]
    others = [("lamp song clock " * int(generator.integers(1, 9)), label) for _, label in shuffled[: 5 + seed]]
    results = [
        run(files, tmp_path / "a", epochs=6, learning_rate=0.02),
        run(files, tmp_path / "b", epochs=6, learning_rate=0.02, evaluation=write_rows(tmp_path / "b.tsv", shuffled)),
        run(files, tmp_path / "c", epochs=6, learning_rate=0.02, evaluation=write_rows(tmp_path / "c.tsv", others)),
    ]
    assert len({weights(tmp_path / name) for name in "abc"}) == 1
    assert len({result.history for result in results}) == 1
    assert len({result.metric for result in results}) > 1


def test_the_same_seed_gives_the_same_teacher(files: Files, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(files, tmp_path / name, seed=seed)
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert weights(tmp_path / "a") != weights(tmp_path / "c")


def test_every_option_matters(files: Files, tmp_path: Path) -> None:
    changes: dict[str, dict[str, Any]] = {
        "as it is": {},
        "class_weights": {"class_weights": "balanced"},
        "label_smoothing": {"label_smoothing": 0.3},
        "held_out": {"held_out": 0.0},
        "max_length": {"max_length": 8, "train": write_rows(tmp_path / "long.tsv", long_rows(files.train))},
        "longer": {"train": str(tmp_path / "long.tsv")},
    }
    for name, change in changes.items():
        run(files, tmp_path / name, **change)
    assert len({weights(tmp_path / name) for name in changes}) == len(changes)


def long_rows(train: str) -> list[tuple[str, str]]:
    return [(f"{text} {text} {text}", label) for text, label in read_rows(train)]


def test_smoothing_makes_a_teacher_less_sure(files: Files, tmp_path: Path) -> None:
    surest = []
    for name, smoothing in (("sharp", 0.0), ("smooth", 0.3)):
        run(files, tmp_path / name, epochs=20, label_smoothing=smoothing)
        teacher = load_teacher(str(tmp_path / name))
        data = encode(read_dataset(files.train, teacher.task), teacher.task, teacher.tokenizer, 16)
        logits = predict(teacher.load_model(), data)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        surest.append(float((1 / odds.sum(axis=1)).mean()))
    assert surest[0] > 0.97
    assert surest[1] < surest[0] - 0.05  # smoothed targets ask for 1 − 0.3 + 0.3 / 3 = 0.8


def test_class_weights_find_the_rare_class(files: Files, tmp_path: Path) -> None:
    """The same words for both classes, one of them eight times as frequent: only weights make the rare one worth it."""
    rows = [(f"{a} {b} {c}", "b" if i % 9 == 0 else "a") for i, (a, b, c) in enumerate(products())]
    train, evaluation = write_rows(tmp_path / "train.tsv", rows[:180]), write_rows(tmp_path / "eval.tsv", rows[180:])
    recalls = {}
    for kind in CLASS_WEIGHTS:
        result = run(
            files, tmp_path / kind, train=train, evaluation=evaluation, class_weights=kind, held_out=0.0, epochs=4
        )
        recalls[kind] = next(score.recall for score in result.classes if score.label == "b")
    assert recalls["none"] == 0
    assert recalls["balanced"] > 0.2
    assert recalls["none"] <= recalls["sqrt"] <= recalls["balanced"]


def products() -> list[tuple[str, str, str]]:
    words = [word for kind in ("lamp bright dim", "song play tune", "clock alarm hour") for word in kind.split()]
    found = [(a, b, c) for a in words for b in words for c in words[:3]]
    return [found[i] for i in np.random.default_rng(0).permutation(len(found))]


def test_tagging(files: Files, tmp_path: Path) -> None:
    rows = [f'{{"tokens": ["play", "song", "{n}"], "tags": ["O", "B-x", "I-x"]}}' for n in ("one", "two", "three")]
    for name, chosen in (("train", rows[:2]), ("eval", rows[2:])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(chosen))
    train, evaluation = (str(tmp_path / f"{name}.jsonl") for name in ("train", "eval"))
    result = run(files, tmp_path / "out", train=train, evaluation=evaluation, epochs=20, batch_size=2)
    assert (result.metric, result.held_out_rows, result.kept.metric) == (1.0, 0, None)
    assert [(score.label, score.f1, score.n) for score in result.classes] == [("x", 1.0, 1)]
    assert load_teacher(str(tmp_path / "out")).task.labels == ("O", "B-x", "I-x")
    assert json.loads(json.dumps(result.to_record()))["held_out"] == {"rows": 0, "metric": None, "loss": None}


def test_another_head_is_replaced(files: Files, tmp_path: Path) -> None:
    write_base(tmp_path / "lm", BertForMaskedLM, Path(files.train).read_text().split())
    assert run(files, tmp_path / "out", base=str(tmp_path / "lm")).n == 28
    tagged = '{"tokens": ["lamp"], "tags": ["B-x"]}\n'
    (tmp_path / "a.jsonl").write_text(tagged)
    (tmp_path / "b.jsonl").write_text(tagged * 2)
    data = {"train": str(tmp_path / "b.jsonl"), "evaluation": str(tmp_path / "a.jsonl")}
    run(files, tmp_path / "tagger", base=str(tmp_path / "out"), **data)
    assert load_teacher(str(tmp_path / "tagger")).task.labels == ("O", "B-x", "I-x")


def take_layer(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in tensors.items() if "layer.0.output" not in name}


def add_layer(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return tensors | {name.replace("layer.0", "layer.1"): tensor.clone() for name, tensor in tensors.items()}


def add_distances(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return tensors | {"encoder.layer.0.attention.self.distance_embedding.weight": torch.ones(63, 8)}


def shorten_words(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    name = "embeddings.word_embeddings.weight"
    return tensors | {name: tensors[name][:-1]}


def break_number(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    tensors["embeddings.word_embeddings.weight"][0, 0] = float("nan")
    return tensors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (take_layer, r"lack .*layer\.0\.output.*; not a base model"),
        (add_layer, r"hold encoder\.layer\.1\..*, which the bert of its config\.json has no place for"),
        (add_distances, r"hold encoder\.layer\.0\.attention\.self\.distance_embedding"),
        (shorten_words, r"do not fit config\.json: bert\.embeddings\.word_embeddings\.weight"),
        (break_number, r"not finite \(NaN or infinite\) in bert\.embeddings\.word_embeddings\.weight"),
    ],
)
def test_no_weight_of_a_base_is_lost_or_made_up(
    files: Files,
    tmp_path: Path,
    change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]],
    message: str,
) -> None:
    shutil.copytree(files.base, tmp_path / "base")
    path = tmp_path / "base" / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})
    with pytest.raises(InputError, match=message):
        run(files, tmp_path / "out", base=str(tmp_path / "base"))
    save_file(load_file(Path(files.base) / "model.safetensors") | {"lstm.w": torch.ones(2)}, path, {"format": "pt"})
    run(files, tmp_path / "out", base=str(tmp_path / "base"))  # what another head had is not missed


@pytest.mark.parametrize("inside", ["", "0_Transformer"])
def test_a_sentence_transformers_folder_is_a_base(files: Files, tmp_path: Path, inside: str) -> None:
    base = tmp_path / "base"
    (base / "1_Pooling").mkdir(parents=True)
    (base / inside).mkdir(exist_ok=True)
    for file in Path(files.base).iterdir():
        (base / inside / file.name).write_bytes(file.read_bytes())
    modules = [
        {"idx": 0, "name": "0", "path": inside, "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    (base / "modules.json").write_text(json.dumps(modules))
    run(files, tmp_path / "out", base=str(base))
    run(files, tmp_path / "plain")
    assert weights(tmp_path / "out") == weights(tmp_path / "plain")


@pytest.mark.needs_shared
def test_the_shared_base_is_a_base(files: Files, tmp_path: Path, shared: Path) -> None:
    result = run(files, tmp_path / "out", base=str(shared / "models" / "base-minilm"), epochs=1, learning_rate=3e-4)
    assert load_teacher(str(tmp_path / "out")).task.labels == ("light", "music", "time")
    assert result.metric > 1 / 3


def test_shared_examples_are_warned_of(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [*read_rows(files.train)[:3], ("new text", "light")]
    run(files, tmp_path / "out", evaluation=write_rows(tmp_path / "eval.tsv", rows))
    assert "3 of 4 evaluation examples also stand in the training data" in capsys.readouterr().err


def test_a_class_that_may_be_a_gap_and_a_pickle_of_other_weights_are_warned_of(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = shutil.copytree(files.base, tmp_path / "base")
    torch.save({"embeddings.word_embeddings.weight": torch.zeros(1)}, base / "pytorch_model.bin")
    named = {"light": "light", "music": "-", "time": "None"}
    paths = [
        write_rows(tmp_path / Path(path).name, [(text, named[label]) for text, label in read_rows(path)])
        for path in (files.train, files.evaluation)
    ]
    run(Files(str(base), *paths), tmp_path / "out", epochs=1)
    said = capsys.readouterr().err.replace("\n", " ")
    for label, mark in (("time", "None"), ("music", "-")):
        count = sum(each == label for _, each in read_rows(files.train))
        assert f"{count} of 80 examples have the label {mark}, as a missing one is often written" in said
    assert "pytorch_model.bin beside model.safetensors holds other weights" in said


def test_the_command_prints_the_classes(files: Files, tmp_path: Path) -> None:
    words = ["finetune", "-m", files.base, "-d", files.train, "--eval", files.evaluation, "--epochs", "1"]
    shown = CliRunner().invoke(main, [*words, "-o", str(tmp_path / "a"), "--held-out", "0.25"])
    assert shown.exit_code == 0, shown.output
    header = next(line for line in shown.stdout.splitlines() if line.startswith("class"))
    assert header.split() == ["class", "precision", "recall", "F1", "n"]
    assert [line.split()[0] for line in shown.stdout.splitlines()[1:4]] == ["light", "music", "time"]
    assert re.search(r"on (19|20|21) held-out training examples", shown.stdout)
    assert "epoch 1.0: loss" in shown.stderr
    assert "held out accuracy" in shown.stderr
    plain = CliRunner().invoke(main, [*words, "-o", str(tmp_path / "b"), "--json", "--quiet"])
    record = json.loads(plain.stdout)
    assert plain.stderr == ""
    assert (record["metric_name"], record["n"], record["output"]) == ("accuracy", 28, str(tmp_path / "b"))
    assert sum(each["n"] for each in record["classes"]) == 28
    right = sum(round(each["recall"] * each["n"]) for each in record["classes"])
    assert record["metric"] == pytest.approx(right / 28)


def test_bad_settings(files: Files, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    (tmp_path / "build" / ".edgepack" / "stages" / "distil-0123456789abcdef").mkdir(parents=True)
    one = write_rows(tmp_path / "one.tsv", [("a", "x")])
    few = write_rows(tmp_path / "few.tsv", [("lamp", "light"), ("song", "music"), ("hour", "time")])
    rows = [(text, f"x{number}") for number, (text, _) in enumerate(read_rows(files.train))]
    numbered = write_rows(tmp_path / "numbered.tsv", rows)
    write_rows(tmp_path / "judged.tsv", [(text, "x1") for text, _ in rows[:9]] + rows[:3])
    unlabelled = str(tmp_path / "unlabelled.jsonl")
    Path(unlabelled).write_text('{"text": "lamp", "labels": []}\n' * 9)
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "modules.json").write_text("{}")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"output": tmp_path / "full"}, "not an empty folder"),
        ({"output": tmp_path / "full" / "x"}, "not an empty folder"),
        ({"output": tmp_path / "build"}, "unfinished build's"),
        ({"max_length": 64}, "max length is 64; base allows at most 32 tokens"),
        ({"evaluation": files.train}, "same data"),
        ({"train": one}, "its only label is 'x'"),
        ({"base": str(tmp_path)}, r"no config\.json"),
        ({"base": str(tmp_path / "odd")}, r"modules\.json"),
        ({"train": unlabelled}, "none of its texts has a label; at least 2 are needed"),
        (
            {"train": numbered, "evaluation": str(tmp_path / "judged.tsv")},
            "each of its 80 texts has a label that no other has",
        ),
        ({"learning_rate": float("nan")}, "learning rate is nan; a finite number above 0"),
        ({"class_weights": "equal"}, "class weights are 'equal'; allowed: none, sqrt, balanced"),
        ({"label_smoothing": 1.0}, r"label smoothing is 1\.0; allowed"),
        ({"seed": 2**64}, "seed is 18446744073709551616; allowed: 0 to"),
        ({"held_out": 0.7}, r"held out is 0\.7; allowed"),
        ({"held_out": 0.0, "patience": 2}, "patience is 2; it needs held-out examples, and of 80 none are"),
        ({"train": few, "patience": 2}, "of 3 none are"),
        ({"learning_rate": 1e6}, r"diverged before step \d+ at learning rate 1e\+06; give a lower --learning-rate"),
    ]
    for changes, message in cases:
        with pytest.raises(InputError, match=message) as error:
            run(files, **{"output": tmp_path / "out", **changes})
        assert "\n" not in str(error.value)
    assert not (tmp_path / "out" / "config.json").exists()


def test_labels_that_training_data_lack_are_said_to_be_compared_with_these(files: Files, tmp_path: Path) -> None:
    lines = Path(files.evaluation).read_text(encoding="utf-8").splitlines()
    judged = tmp_path / "judged.tsv"
    judged.write_text("\n".join([*lines, lines[1].rpartition("\t")[0] + "\tunknown"]) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"label 'unknown' is none of the teacher's; .* to have the labels of .*train"):
        run(files, output=tmp_path / "out", evaluation=str(judged))


@pytest.mark.parametrize("device", ["tpu", "cuda:", "cuda:x", "cuda:²", "cuda:-1", "cuda0", "CPU", ""])
def test_devices_that_are_none(device: str) -> None:
    with pytest.raises(InputError, match=r"allowed: auto, cpu, cuda, cuda:N"):
        find_device(device)


def test_a_device_that_is_not_here(files: Files, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"device is 'cuda:99'; this machine has \d+ CUDA devices; use auto or cpu"):
        run(files, tmp_path / "out", device="cuda:99")
    assert not (tmp_path / "out").exists()
    assert find_device("cpu").type == "cpu"


def test_options_stay_plain_data() -> None:
    """The command line hands them over as they are."""
    parameters = {parameter.name for parameter in main.commands["finetune"].params}
    assert set(asdict(Options())) <= parameters
