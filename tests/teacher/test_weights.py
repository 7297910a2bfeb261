"""Nothing in a checkpoint is silently unused: each weight too many or too few is one line; harmless ones stay "
"harmless."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertForPreTraining, BertModel

from edgepack.errors import InputError
from edgepack.teacher import FAMILIES, load_teacher, load_weights, open_checkpoint
from edgepack.teacher.weight_names import plain_name
from tests.teacher.tiny import edit, edit_weights, write_teacher

QUERY = "bert.encoder.layer.0.attention.self.query"
Spoil = Callable[[Path], Any]


def renamed(change: Callable[[str], str]) -> Spoil:
    return lambda folder: edit_weights(folder, lambda tensors: {change(name): t for name, t in tensors.items()})


def added(**tensors: torch.Tensor) -> Spoil:
    named = {name.replace("__", "."): tensor for name, tensor in tensors.items()}
    return lambda folder: edit_weights(folder, lambda held: held | named)


def changed(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Spoil:
    return lambda folder: edit_weights(folder, lambda held: held | {name: change(held[name])})


def without(*parts: str) -> Spoil:
    return lambda folder: edit_weights(folder, lambda t: {n: v for n, v in t.items() if not any(p in n for p in parts)})


def broken(value: float) -> Spoil:
    def change(tensor: torch.Tensor) -> torch.Tensor:
        tensor.view(-1)[3] = value
        return tensor

    return changed("bert.encoder.layer.1.output.dense.weight", change)


def shards_without_one(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    save_file({n: tensors[n] for n in names[:5]}, folder / "model-00001-of-00002.safetensors", {"format": "pt"})
    weight_map = dict.fromkeys(names[:5], "model-00001-of-00002.safetensors")
    weight_map |= dict.fromkeys(names[5:], "model-00002-of-00002.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def shards_and_one_more(folder: Path) -> None:
    whole = folder / "model.safetensors"
    first = whole.rename(folder / "model-00001-of-00002.safetensors")
    shutil.copy(first, folder / "model-00002-of-00002.safetensors")
    weight_map = dict.fromkeys(load_file(first), first.name)
    (folder / f"{whole.name}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def shards_with_one_tensor_twice(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = {f"model-0000{i + 1}-of-00002.safetensors": names[:6] if i == 0 else names[5:] for i in range(2)}
    for i, (part, held) in enumerate(parts.items()):
        save_file({name: tensors[name] + i for name in held}, folder / part, {"format": "pt"})
    weight_map = {name: part for part, held in parts.items() for name in held}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def linked_to_nothing(name: str) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to("../../blobs/3c")

    return spoil


def pickled(document: Callable[[dict[str, torch.Tensor]], Any]) -> Spoil:
    def spoil(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        (folder / "model.safetensors").unlink()
        torch.save(document(tensors), folder / "pytorch_model.bin")

    return spoil


def lora_wrapped(name: str) -> str:
    return name.replace("query.", "query.base_layer.")


ONES = torch.ones(4, 16)
REFUSED: dict[str, tuple[Spoil, str]] = {
    "a head layer more": (
        added(pre_classifier__weight=ONES),
        r"hold pre_classifier\.weight, which a bert for text-class",
    ),
    "a layer behind the encoder": (added(lstm__weight_ih_l0=ONES), r"hold lstm\.weight_ih_l0"),
    "a question-answering head too": (added(qa_outputs__weight=ONES), r"hold qa_outputs\.weight"),
    "LoRA beside the weights": (added(**{f"{QUERY}.lora_A": ONES}), r"adapter that was not merged.*lora_A; merge the"),
    "LoRA around the weights": (renamed(lora_wrapped), r"adapter that was not merged.*base_layer.*merge_and_unload"),
    "an adapter's bottleneck": (added(bert__encoder__layer__0__adapters__a=ONES), "adapter that was not merged"),
    "modules kept by PEFT": (renamed(lambda n: n.replace("classifier.", "classifier.modules_to_save.")), "not merged"),
    "quantized by bitsandbytes": (added(**{f"{QUERY}.weight.absmax": ONES}), r"quantized: bert\.encoder.*absmax"),
    "quantized by quanto": (added(**{f"{QUERY}.weight._data": ONES}), "weights are quantized"),
    "quantized integers": (changed(f"{QUERY}.weight", lambda t: t.to(torch.int8)), "weights are quantized"),
    "integers for a bias": (changed("classifier.bias", lambda t: t.to(torch.int64)), "quantized: classifier.bias"),
    "an old name beside the new one": (
        lambda f: edit_weights(f, lambda t: t | {"bert.embeddings.LayerNorm.gamma": torch.ones(16)}),
        r"hold bert\.embeddings\.LayerNorm\.gamma and bert\.embeddings\.LayerNorm\.weight, two names of one tensor",
    ),
    "the encoder once more without its prefix": (
        lambda f: edit_weights(f, lambda t: t | {n.removeprefix("bert."): v + 1 for n, v in t.items()}),
        r"hold bert\.embeddings\.\S+ and embeddings\.\S+, two names of one tensor",
    ),
    "a tensor in two parts": (shards_with_one_tensor_twice, r"is in model-00002-of-00002\.safetensors and in another"),
    "a weight that torch computes": (
        renamed(lambda name: name.replace("classifier.weight", "classifier.parametrizations.weight.original")),
        "parts of which torch computes others .*parametrizations.*remove_parametrizations",
    ),
    "masks of pruning": (added(**{f"{QUERY}.weight_mask": ONES}), r"masks of pruning .*prune\.remove"),
    "heads pruned": (changed(f"{QUERY}.weight", lambda t: t[:8]), r"shape \[8, 16\].*heads were pruned"),
    "heads pruned by the config": (lambda f: edit(f, "config.json", pruned_heads={"0": [1]}), "names pruned_heads"),
    "fewer labels than outputs": (
        lambda f: edit(f, "config.json", id2label={str(i): f"c{i}" for i in range(3)}, label2id={}),
        r"names 3 labels \(id2label\), the head in its weights has 2 outputs",
    ),
    "more layers than the config says": (
        lambda f: edit(f, "config.json", num_hidden_layers=1),
        "gives 1 as the number of layers, its weights hold 2",
    ),
    "fewer layers than the config says": (without("layer.1."), "gives 2 as the number of layers, its weights hold 1"),
    "a smaller vocabulary in the config": (
        lambda f: edit(f, "config.json", vocab_size=120),
        r"word_embeddings\.weight has shape .* set vocab_size in config\.json to \d+",
    ),
    "fewer positions": (
        lambda f: edit(f, "config.json", max_position_embeddings=20),
        r"set max_position_embeddings in config\.json to 40",
    ),
    "no pooler": (without("pooler"), r"not fine-tuned for text-classification, its weights lack bert\.pooler"),
    "a norm is missing": (
        without("layer.0.output.LayerNorm"),
        r"weights lack bert\.encoder\.layer\.0.*save the model again",
    ),
    "another family's names": (
        renamed(lambda n: n.replace("bert.", "roberta.", 1)),
        r"model_type is of the family bert, and its weights are named roberta\.",
    ),
    "a prefix that not all have": (
        renamed(lambda n: n if n.startswith("classifier") else f"encoder.{n}"),
        r"names begin with 'encoder\.', a prefix that classifier\.bias, classifier\.weight lacks",
    ),
    "a prefix, and a head missing": (
        lambda f: (renamed(lambda n: f"module.{n}")(f), without("classifier")(f)),
        r"not fine-tuned .* lack classifier\.bias",
    ),
    "NaN": (broken(float("nan")), r"not finite \(NaN or infinite\) in bert\.encoder\.layer\.1\.output\.dense\.weight"),
    "infinite": (broken(float("inf")), "not finite"),
    "no tensors": (lambda f: save_file({}, f / "model.safetensors"), "holds no tensors"),
    "a Git LFS pointer": (
        lambda f: (f / "model.safetensors").write_text(
            "version https://git-lfs.github.com/spec/v1\noid sha256:3c\nsize 9\n"
        ),
        "model.safetensors is a Git LFS pointer.*git lfs pull",
    ),
    "a copy of the hub's cache": (
        linked_to_nothing("model.safetensors"),
        r"model\.safetensors is a link to '\.\./\.\./blobs/3c', which is not there; copy the folder again",
    ),
    "a config that is a link to nothing": (linked_to_nothing("config.json"), r"config\.json is a link to"),
    "a folder for a file": (
        lambda f: ((f / "tokenizer.json").unlink(), (f / "tokenizer.json").mkdir()),
        r"tokenizer\.json is no regular file",
    ),
    "an empty file": (lambda f: (f / "model.safetensors").write_bytes(b""), "model.safetensors is empty"),
    "a shard is missing": (shards_without_one, r"names the part 'model-00002-of-00002\.safetensors', which is not"),
    "a shard that the index lacks": (
        shards_and_one_more,
        r"'model-00002-of-00002\.safetensors' looks like a part, and model\.safetensors\.index\.json does not name it",
    ),
    "an index without a map": (
        lambda f: ((f / "model.safetensors").unlink(), (f / "model.safetensors.index.json").write_text("{}")),
        "has no weight_map",
    ),
    "a variant's name": (
        lambda f: (f / "model.safetensors").rename(f / "model.fp16.safetensors"),
        r"weights are in model\.fp16\.safetensors, which transformers does not load",
    ),
    "a pickle of a training loop": (pickled(lambda t: {"epoch": 3, "state_dict": t}), "in its entry 'state_dict'"),
    "a pickle of a list": (pickled(lambda t: list(t.values())), "holds a list"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_lost_is_one_line(folder: Path, name: str) -> None:
    spoil, message = REFUSED[name]
    spoil(folder)
    with pytest.raises(InputError, match=message) as caught:
        load_teacher(str(folder))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


HARMLESS: dict[str, Spoil] = {
    "heads of pretraining": lambda f: edit_weights(f, lambda t: t | pretraining_head()),
    "positions as a buffer": added(bert__embeddings__position_ids=torch.arange(40)[None].float()),
    "weights of the loss": added(loss_fct__weight=torch.ones(2), class_weights=torch.ones(2)),
    "module.": renamed(lambda n: f"module.{n}"),
    "_orig_mod.": renamed(lambda n: f"_orig_mod.{n}"),
    "module._orig_mod.": renamed(lambda n: f"module._orig_mod.{n}"),
    "model. in a pickle": lambda f: (renamed(lambda n: f"model.{n}")(f), pickled(dict)(f)),
    "old names of norms": renamed(
        lambda n: n.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    ),
    "bfloat16": lambda f: edit_weights(f, lambda t: {n: v.bfloat16() for n, v in t.items()}),
    "float16 by the config too": lambda f: (
        edit_weights(f, lambda t: {n: v.half() for n, v in t.items()}),
        edit(f, "config.json", dtype="float16"),
    ),
}


def pretraining_head() -> dict[str, torch.Tensor]:
    return {"cls.predictions.bias": torch.zeros(9), "cls.seq_relationship.weight": torch.zeros(2, 16)}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_changes_no_answer_is_read(folder: Path, name: str) -> None:
    before = load_teacher(str(folder)).load_model()
    HARMLESS[name](folder)
    teacher = load_teacher(str(folder))
    after = teacher.load_model()
    assert after.dtype == torch.float32
    for a, b in zip(before.parameters(), after.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=2e-3, rtol=0)
    wrapped = name.startswith(("module", "_orig", "model."))
    assert [("prefix" in note) for note in teacher.notes] == [True] * wrapped


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pooler_that_nothing_reads_is_harmless(tmp_path: Path, family: str) -> None:
    write_teacher(tmp_path, family, "token")
    edit_weights(tmp_path, lambda t: t | {f"{FAMILIES[family].prefix}.pooler.dense.weight": torch.ones(16, 16)})
    assert load_teacher(str(tmp_path)).family == family


@pytest.mark.parametrize("family", FAMILIES)
def test_a_word_table_padded_for_speed_is_usual(tmp_path: Path, family: str) -> None:
    write_teacher(tmp_path, family)
    table = f"{FAMILIES[family].prefix}.{FAMILIES[family].word_table}"
    edit_weights(tmp_path, lambda t: t | {table: torch.cat([t[table], torch.zeros(24, t[table].shape[1])])})
    with pytest.raises(InputError, match=r"set vocab_size in config\.json to"):
        load_teacher(str(tmp_path))
    rows = int(str(json.loads((tmp_path / "config.json").read_text())["vocab_size"])) + 24
    edit(tmp_path, "config.json", vocab_size=rows)
    assert load_teacher(str(tmp_path)).sizes.vocabulary == rows


TABLE = "bert.embeddings.word_embeddings.weight"
BESIDE: dict[str, tuple[Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], str]] = {
    "other names": (lambda t: {n: v for n, v in t.items() if "classifier" not in n}, r"classifier\.bias, classifier"),
    "other shapes": (lambda t: t | {TABLE: t[TABLE][:5]}, r"embeddings\.word_embeddings\.weight"),
    "other numbers": (lambda t: t | {"classifier.weight": t["classifier.weight"] * 1.01}, r"classifier\.weight"),
    "the same": (dict, ""),
    "the same, rounded": (lambda t: {n: v.half() for n, v in t.items()}, ""),
    "the same, with what nothing reads": (lambda t: t | pretraining_head(), ""),
}


def write_pickle(folder: Path, tensors: dict[str, torch.Tensor]) -> str:
    torch.save(tensors, folder / "pytorch_model.bin")
    return "pytorch_model.bin"


def write_old_pickle(folder: Path, tensors: dict[str, torch.Tensor]) -> str:
    torch.save(tensors, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    return "pytorch_model.bin"


def write_parts(folder: Path, tensors: dict[str, torch.Tensor]) -> str:
    names = sorted(tensors)
    for part, chosen in (("1", names[:9]), ("2", names[9:])):
        save_file({n: tensors[n].contiguous() for n in chosen}, folder / f"model-0000{part}-of-00002.safetensors")
    (folder / "model.safetensors.index.json").write_text("{}")
    return "model-00001-of-00002.safetensors"


@pytest.mark.parametrize("name", BESIDE)
@pytest.mark.parametrize("write", [write_pickle, write_old_pickle, write_parts])
def test_weights_that_are_not_read_are_said_where_they_are_others(
    folder: Path, name: str, write: Callable[[Path, dict[str, torch.Tensor]], str]
) -> None:
    change, differs = BESIDE[name]
    held = load_file(folder / "model.safetensors")
    unread = write(folder, change(held))
    teacher = load_teacher(str(folder))
    assert torch.equal(dict(teacher.load_model().state_dict())["classifier.weight"], held["classifier.weight"])
    said = [note for note in teacher.notes if f"{unread} beside model.safetensors" in note]
    assert len(said) == bool(differs)
    assert not differs or re.search(
        differs + r".*; model\.safetensors is read: .* move model\.safetensors away", said[0]
    )


def test_a_pickle_that_nothing_reads_is_passed_over(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"no pickle")
    assert load_teacher(str(folder)).notes == ()


def test_files_that_nothing_reads_are_said(folder: Path) -> None:
    """A head, an adapter or a second model may be a part of the answers; forms of the same model are none."""
    for name in ("training_args.bin", "optimizer.pt", "model.fp16.safetensors", "._model.safetensors", "rust_model.ot"):
        (folder / name).write_bytes(b"x")
    assert load_teacher(str(folder)).notes == ()
    for name in ("classifier.pt", "model_1.safetensors", "pytorch_model_head.bin"):
        (folder / name).write_bytes(b"x")
    (folder / "mine").mkdir()
    (folder / "mine" / "adapter_config.json").write_text("{}")
    files, adapter = load_teacher(str(folder)).notes
    assert "nothing reads classifier.pt, model_1.safetensors, pytorch_model_head.bin beside model.safetensors" in files
    assert "nothing reads the adapter in mine; if the teacher answers with it, merge the adapter first" in adapter


def test_a_pickle_in_parts_is_compared_too(folder: Path) -> None:
    held = load_file(folder / "model.safetensors")
    names = sorted(held)
    for part, chosen in (("1", names[:9]), ("2", names[9:])):
        torch.save({n: held[n] + (n == TABLE) for n in chosen}, folder / f"pytorch_model-0000{part}-of-00002.bin")
    (folder / "pytorch_model.bin.index.json").write_text("{}")
    (said,) = load_teacher(str(folder)).notes
    assert TABLE in said


def test_adapters_of_a_models_own_languages_are_no_lora(tmp_path: Path) -> None:
    write_teacher(tmp_path, "xmod", languages=["en_XX", "de_DE"], default_language="de_DE")
    assert load_teacher(str(tmp_path)).family == "xmod"
    for language in (None, "fr_XX"):
        edit(tmp_path, "config.json", default_language=language)
        with pytest.raises(InputError, match=r"is an X-MOD, .*\(en_XX, de_DE\).*set it in config\.json to the one of"):
            load_teacher(str(tmp_path))


def test_shards_are_read_through_their_index(folder: Path) -> None:
    whole = shutil.copytree(folder, folder.parent / "whole")
    shards_without_one(folder)
    tensors = load_file(whole / "model.safetensors")
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    last = {n: t for n, t in tensors.items() if index[n].startswith("model-00002")}
    save_file(last, folder / "model-00002-of-00002.safetensors", {"format": "pt"})
    a, b = (load_teacher(str(path)).load_model().state_dict() for path in (folder, whole))
    assert all(torch.equal(a[name], b[name]) for name in b)


def test_a_base_keeps_its_encoder_and_gets_a_new_head(folder: Path) -> None:
    """What finetuning loads: an encoder without names of a family, a language model, a wrapped one."""
    model = BertModel(open_checkpoint(str(folder)).config)
    model.save_pretrained(folder)
    loaded, info = load_weights(
        open_checkpoint(str(folder)), "token-classification", id2label={0: "O", 1: "B-x", 2: "I-x"}
    )
    assert loaded.config.num_labels == 3
    assert set(info["missing_keys"]) == {"classifier.weight", "classifier.bias"}
    torch.testing.assert_close(loaded.bert.embeddings.word_embeddings.weight, model.embeddings.word_embeddings.weight)
    BertForPreTraining(open_checkpoint(str(folder)).config).save_pretrained(folder)
    renamed(lambda n: f"module.{n}")(folder)
    loaded, info = load_weights(open_checkpoint(str(folder)), "text-classification")
    assert {name.split(".")[0] for name in info["missing_keys"]} == {"classifier"}


def test_names_of_today() -> None:
    assert plain_name("a.LayerNorm.gamma") == "a.LayerNorm.weight"
    assert plain_name("a.other.gamma") == "a.other.gamma"
    assert plain_name("beta") == "beta"


def test_logits_are_those_of_the_checkpoint_that_was_wrapped(folder: Path) -> None:
    ids = torch.arange(8)[None]
    with torch.no_grad():
        expected = load_teacher(str(folder)).load_model()(input_ids=ids).logits.numpy()
        renamed(lambda n: f"_orig_mod.{n}")(folder)
        got = load_teacher(str(folder)).load_model()(input_ids=ids).logits.numpy()
    np.testing.assert_allclose(got, expected, atol=1e-6)
