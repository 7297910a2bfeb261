"""Every family loads with its logits unchanged; every kind of broken checkpoint is one clear line."""

from __future__ import annotations

import logging
import os
import pickle
from codecs import BOM_UTF8
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import RobertaProcessing
from tokenizers.trainers import BpeTrainer
from transformers import RobertaTokenizer

from edgepack.demo.base import make_tokenizer
from edgepack.errors import InputError
from edgepack.inference import predict, torch_batch
from edgepack.task.encoded import Encoded
from edgepack.task.examples import Dataset, Example
from edgepack.task.tokenize import encode
from edgepack.teacher import FAMILIES, check_teacher, hub, load_teacher
from tests.teacher.tiny import AUTO, NAMES, edit, edit_weights, write_teacher

SHARED = Path(__file__).parents[2].parent / "shared"


@pytest.mark.parametrize("kind", AUTO)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_loads(tmp_path: Path, family: str, kind: str) -> None:
    model = write_teacher(tmp_path, family, kind)
    teacher = load_teacher(str(tmp_path))
    assert teacher.task.name == f"{kind}-classification"
    assert teacher.task.labels == NAMES[kind]
    assert (teacher.family, teacher.name) == (family, tmp_path.name)
    assert teacher.max_length == (38 if FAMILIES[family].offset_positions else 40)
    assert teacher.parameters == sum(p.numel() for p in model.parameters())
    assert f"{family}, 2 layers of 16" in teacher.describe()
    words = None if kind == "text" else ("play", "song")
    example = Example("play song", None, words, 0 if words is None else (0, 1))
    long = Example("play " * 60, None, words and ("play",) * 60, 0 if words is None else (0,) * 60)
    encoded = encode(Dataset((example, long), "", ""), teacher.task, teacher.tokenizer, teacher.max_length)
    assert encoded.lengths.tolist() == [4, teacher.max_length]
    batch = {
        name: tensor for name, tensor in torch_batch(encoded, [1]).items() if name in ("input_ids", "attention_mask")
    }
    with torch.no_grad():
        expected = model(**batch).logits.reshape(-1, len(NAMES[kind]))
    got = predict(teacher.load_model(), encoded.select([1]))
    np.testing.assert_allclose(got, expected.numpy(), atol=1e-6)


def test_roberta_gets_words_with_the_space_of_its_training(tmp_path: Path) -> None:
    write_teacher(tmp_path, "roberta", "token")
    byte_level = Tokenizer(BPE(unk_token="<unk>"))
    byte_level.pre_tokenizer = ByteLevel(add_prefix_space=False)
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    byte_level.train_from_iterator(["we play songs"] * 9, BpeTrainer(special_tokens=specials, show_progress=False))
    byte_level.post_processor = RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    RobertaTokenizer(tokenizer_object=byte_level).save_pretrained(tmp_path)
    teacher = load_teacher(str(tmp_path))
    data = Dataset((Example("", None, ("play", "songs"), (1, 2)),), "", "")
    encoded = encode(data, teacher.task, teacher.tokenizer, 16)
    tokens = teacher.tokenizer.convert_ids_to_tokens(encoded.input_ids.tolist())
    assert tokens == ["<s>", "\u0120play", "\u0120songs", "</s>"]
    assert encoded.labels.tolist() == [-100, 1, 2, -100]
    assert predict(teacher.load_model(), encoded).shape == (4, 3)


def test_fp16_and_pickles_load_as_fp32(folder: Path) -> None:
    first = load_teacher(str(folder))
    before = first.load_model()
    state = {name: tensor.half() for name, tensor in before.state_dict().items()}
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    second = load_teacher(str(folder))
    after = second.load_model()
    assert after.dtype == torch.float32
    assert not after.training
    assert second.sha256 != first.sha256
    for a, b in zip(before.parameters(), after.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=0)


def test_a_setting_of_how_a_model_answers_changes_nothing(folder: Path) -> None:
    rows = (Example("play song", None, None, 0),)  # of 4 tokens, no multiple of 3
    logits = []
    told = {"return_dict": False, "torchscript": True, "output_hidden_states": True}
    told |= {"_attn_implementation": "flash_attention_2"}
    for settings in ({}, {"chunk_size_feed_forward": 3}, told):
        edit(folder, "config.json", **settings)
        teacher = load_teacher(str(folder))
        encoded = encode(Dataset(rows, "", ""), teacher.task, teacher.tokenizer, teacher.max_length)
        logits.append(predict(teacher.load_model(), encoded))
    np.testing.assert_array_equal(logits[0], logits[1])
    np.testing.assert_array_equal(logits[0], logits[2])


def test_a_pickle_executes_nothing(folder: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
            return os.mkdir, (str(folder / "owned"),)

    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Attack()}, protocol=2))
    with pytest.raises(InputError, match="weights do not load"):
        load_teacher(str(folder))
    assert not (folder / "owned").exists()


def test_the_tokenizer_forgets_the_truncation_of_its_training(folder: Path) -> None:
    edit(
        folder,
        "tokenizer.json",
        truncation={"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
    )
    backend = load_teacher(str(folder)).tokenizer.backend_tokenizer
    assert backend.truncation is None
    assert len(backend.encode("play the song").ids) == 5


def test_sha256_is_of_what_decides_the_logits(folder: Path) -> None:
    before = load_teacher(str(folder)).sha256
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# card")
    (folder / "training_args.bin").write_bytes(b"x")
    after = load_teacher(str(folder))
    assert after.sha256 == before
    assert after.licence == "apache-2.0"
    edit(folder, "config.json", layer_norm_eps=1e-6)
    assert load_teacher(str(folder)).sha256 != before


def test_nothing_is_printed_and_logging_is_left_as_it_was(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    level = transformers.logging.get_verbosity()
    load_teacher(str(folder))
    assert capfd.readouterr() == ("", "")
    assert transformers.logging.get_verbosity() == level
    assert transformers.logging.is_progress_bar_enabled()
    assert logging.getLogger("transformers").level == level


def drop_weight(folder: Path) -> None:
    edit_weights(folder, lambda tensors: {n: t for n, t in tensors.items() if not n.startswith("classifier.")})


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), r"no config\.json"),
    "config json": (lambda f: (f / "config.json").write_text("{"), r"config\.json is not valid JSON"),
    "config list": (lambda f: (f / "config.json").write_text("[]"), r"config\.json is \[\]; a JSON object"),
    "config value": (lambda f: edit(f, "config.json", hidden_size="wide"), r"does not load: .*hidden_size.*'wide'"),
    "config mark": (
        lambda f: (f / "config.json").write_bytes(BOM_UTF8 + (f / "config.json").read_bytes()),
        r"config\.json begins with a byte order mark",
    ),
    "family": (
        lambda f: edit(f, "config.json", model_type="bert-99"),
        "model_type is 'bert-99'; supported: what the installed transformers knows",
    ),
    "remote code": (lambda f: edit(f, "config.json", auto_map={"AutoModel": "x.Y"}), "own Python code .auto_map."),
    "causal": (lambda f: edit(f, "config.json", architectures=["BertLMHeadModel"]), "BertLMHeadModel, not fine-tuned"),
    "unknown task": (lambda f: edit(f, "config.json", architectures=None), "names no architecture; pass --task"),
    "regression": (lambda f: edit(f, "config.json", problem_type="regression"), "problem_type 'regression'"),
    "one label": (lambda f: edit(f, "config.json", id2label={"0": "x"}, label2id={"x": 0}), "names 1 labels"),
    "another problem": (lambda f: edit(f, "config.json", problem_type="ranking"), "problem_type 'ranking'"),
    "label twice": (lambda f: edit(f, "config.json", id2label={"0": "x", "1": "x"}), "each class id from 0 once"),
    "more labels": (
        lambda f: edit(f, "config.json", id2label={"0": "a", "1": "b", "2": "c"}, label2id={}),
        r"names 3 labels \(id2label\), the head in its weights has 2 outputs",
    ),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), r"no weights; allowed: model\*\.safetensors"),
    "corrupt": (lambda f: (f / "model.safetensors").write_bytes(b"\x10" + b"x" * 99), "weights do not load"),
    "cut off": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-100]),
        "weights do not load",
    ),
    "no head": (drop_weight, r"not fine-tuned for text-classification, its weights lack classifier\.bias"),
    "wider": (lambda f: edit(f, "config.json", hidden_size=32), r"weights do not fit config\.json"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), r"no tokenizer; one of tokenizer\.json"),
    "tokenizer json": (lambda f: (f / "tokenizer.json").write_text("{}"), "tokenizer does not load"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_teacher_is_one_line(folder: Path, kind: str) -> None:
    damage, message = BROKEN[kind]
    damage(folder)
    with pytest.raises(InputError, match=message) as caught:
        load_teacher(str(folder))
    assert "\n" not in str(caught.value)


def test_a_tokenizer_of_another_checkpoint(folder: Path) -> None:
    make_tokenizer(["entirely different words, many more of them than before"]).save_pretrained(folder)
    with pytest.raises(InputError, match="they are not of one checkpoint"):
        load_teacher(str(folder))


def test_the_task_asked_for_must_be_the_teachers(folder: Path) -> None:
    with pytest.raises(InputError, match="is a BertForSequenceClassification; the task asked for is token-class"):
        load_teacher(str(folder), "token-classification")
    with pytest.raises(InputError, match="task is 'ner'; allowed: text-classification, token-classification"):
        load_teacher(str(folder), "ner")
    assert load_teacher(str(folder), "text-classification", pair=True).task.pair


def test_sources(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("offline")

    monkeypatch.setattr(hub, "snapshot_download", fail)
    cases = [
        (str(folder / "config.json"), "is a file"),
        (str(folder / "nothing"), "no such folder, and not a hub id"),
        ("owner/name", "no such folder, and the hub does not have it: OSError: offline"),
    ]
    for source, message in cases:
        with pytest.raises(InputError, match=message):
            load_teacher(source)
    monkeypatch.setattr(hub, "snapshot_download", lambda source, allow_patterns: str(folder))
    assert load_teacher("owner/name").name == "owner/name"


def test_an_untrained_teacher_is_refused_unless_allowed(folder: Path) -> None:
    teacher = load_teacher(str(folder))
    labels = np.array([0, 0, 0, 1, 1])
    evaluation = Encoded(np.zeros(10, np.int32), np.zeros(10, np.int8), np.arange(0, 11, 2), labels)
    good, majority = np.eye(2)[[0, 0, 0, 1, 0]], np.eye(2)[[0, 0, 0, 0, 0]]
    found = check_teacher(teacher, evaluation, good)
    assert (found.metric, found.majority, found.n) == (0.8, 0.6, 5)
    assert "accuracy 0.8000 on 5 evaluation examples may be no better than" in found.doubt  # one example more
    labels = np.arange(40) % 2
    evaluation = Encoded(np.zeros(80, np.int32), np.zeros(80, np.int8), np.arange(0, 82, 2), labels)
    assert check_teacher(teacher, evaluation, np.eye(2)[labels]).doubt == ""
    hardly = np.where(np.arange(40) < 24, labels, 1 - labels)
    assert "accuracy 0.6000 on 40 " in check_teacher(teacher, evaluation, np.eye(2)[hardly]).doubt
    labels = np.array([0, 0, 0, 1, 1])
    evaluation = Encoded(np.zeros(10, np.int32), np.zeros(10, np.int8), np.arange(0, 11, 2), labels)
    with pytest.raises(InputError, match=r"accuracy 0\.6000 on 5 .* alone gives 0\.6000; .* pass --allow-untrained"):
        check_teacher(teacher, evaluation, majority)
    assert check_teacher(teacher, evaluation, majority, allow_untrained=True).metric == 0.6


def test_an_untrained_tagger_is_refused(tmp_path: Path) -> None:
    write_teacher(tmp_path, kind="token")
    teacher = load_teacher(str(tmp_path))
    evaluation = Encoded(np.zeros(4, np.int32), np.zeros(4, np.int8), np.array([0, 2, 4]), np.array([1, 2, 0, 0]))
    assert check_teacher(teacher, evaluation, np.eye(3)[[1, 2, 0, 0]]).metric == 1.0
    with pytest.raises(InputError, match=r"entity_f1 0\.0000 on 2 evaluation examples, the least accepted is 0\.05"):
        check_teacher(teacher, evaluation, np.eye(3)[[0, 0, 0, 0]])


@pytest.mark.needs_shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared is not here")
def test_a_real_teacher_describes_itself() -> None:
    teacher = load_teacher(str(SHARED / "models" / "teacher-snips"))
    assert teacher.describe() == (
        "teacher-snips: bert, 6 layers of 384, 22.6M parameters, token-classification, 79 labels"
    )
