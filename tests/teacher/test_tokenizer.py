"""The tokenizer that runs is the folder's: its pipeline, its old files, its limits and sides."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer, BertTokenizer, MPNetTokenizer, RobertaTokenizer

from edgepack.bundle.goldens import HARD_TEXTS
from edgepack.errors import InputError
from edgepack.teacher import load_teacher, load_tokenizer, open_checkpoint
from edgepack.teacher.tokenizer import open_tokenizer
from edgepack.tokenizer.asset import asset_bytes
from tests.teacher.tiny import byte_level, edit, edit_json, old_files, write_teacher

Change = Callable[[dict[str, Any]], Any]


def ids(tokenizer: Any, texts: tuple[str, ...] = HARD_TEXTS) -> list[list[int]]:
    return [tokenizer(text)["input_ids"] if text else tokenizer.backend_tokenizer.encode(text).ids for text in texts]


def file_ids(folder: Path, texts: tuple[str, ...] = HARD_TEXTS) -> list[list[int]]:
    return [Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids for text in texts]


def normalizer(**change: Any) -> Change:
    return lambda document: document["normalizer"].update(change)


PIPELINES: dict[str, Change] = {
    "as BERT's": lambda document: None,
    "its own normalizer": lambda d: d.update(
        normalizer={
            "type": "Sequence",
            "normalizers": [
                {"type": "NFKC"},
                {"type": "Lowercase"},
                {"type": "Replace", "pattern": {"String": "0"}, "content": "o"},
            ],
        }
    ),
    "no normalizer": lambda d: d.update(normalizer=None),
    "splits at spaces": lambda d: d.update(pre_tokenizer={"type": "WhitespaceSplit"}),
    "keeps capitals": normalizer(lowercase=False),
    "keeps accents": normalizer(strip_accents=False),
    "keeps ideographs together": normalizer(handle_chinese_chars=False),
    "short words only": lambda d: d["model"].update(max_input_chars_per_word=4),
    "token types from 1": lambda d: d["post_processor"]["single"][1]["Sequence"].update(type_id=1),
}


@pytest.mark.parametrize("config", ["none", "generic", "BertTokenizer"])
@pytest.mark.parametrize("name", PIPELINES)
def test_the_pipeline_is_the_files_whatever_class_is_named(folder: Path, name: str, config: str) -> None:
    edit_json(folder, "tokenizer.json", PIPELINES[name])
    if config == "none":
        (folder / "tokenizer_config.json").unlink()
    elif config == "BertTokenizer":
        edit(folder, "tokenizer_config.json", tokenizer_class="BertTokenizer")
    opened = open_tokenizer(open_checkpoint(str(folder)), "text-classification")
    assert ids(opened.tokenizer) == file_ids(folder)
    assert opened.rival is None
    assert opened.tokenizer.pad_token == "[PAD]"
    assert opened.tokenizer.mask_token == "[MASK]"


def test_the_class_of_transformers_would_have_given_other_ids(folder: Path) -> None:
    """Why the class is not asked: where this fails, it has become unnecessary."""
    edit_json(folder, "tokenizer.json", PIPELINES["its own normalizer"])
    edit(folder, "tokenizer_config.json", tokenizer_class="BertTokenizer")
    assert ids(AutoTokenizer.from_pretrained(folder)) != file_ids(folder)


def test_special_tokens_that_the_file_uses_otherwise_are_said(folder: Path) -> None:
    assert open_tokenizer(open_checkpoint(str(folder)), "text-classification").notes == ()
    edit(folder, "tokenizer_config.json", cls_token="[MASK]", sep_token="[SEP]", unk_token="[PAD]")
    notes = open_tokenizer(open_checkpoint(str(folder)), "text-classification").notes
    assert [note.partition("names the ")[2] for note in notes] == [
        "cls_token '[MASK]', which tokenizer.json puts around no text: tokenizer.json counts",
        "unk_token '[PAD]', where tokenizer.json has '[UNK]': tokenizer.json counts",
    ]


# ---- the time before tokenizer.json


def vocabulary(folder: Path) -> list[str]:
    held = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    return sorted(held, key=held.__getitem__)


@pytest.mark.parametrize(
    "options", [{}, {"do_lower_case": False}, {"strip_accents": False}, {"tokenize_chinese_chars": False}]
)
@pytest.mark.parametrize(
    ("end", "kind"), [("\n", {}), ("\r\n", {"tokenizer_class": "MobileBertTokenizer"}), ("\r", {})]
)
def test_vocab_txt_is_berts_word_piece(folder: Path, end: str, kind: dict[str, str], options: dict[str, bool]) -> None:
    tokens = vocabulary(folder)
    old_files(folder, {"vocab.txt": end.join([*tokens, "", ""]), "tokenizer_config.json": json.dumps(options | kind)})
    tokenizer = load_tokenizer(open_checkpoint(str(folder)), "text-classification")
    reference = BertTokenizer(vocab={token: i for i, token in enumerate(tokens)}, **options)
    assert ids(tokenizer) == ids(reference)
    assert tokenizer("play", "song")["token_type_ids"] == reference("play", "song")["token_type_ids"]
    assert asset_bytes(tokenizer).startswith(b"EPTK")


def test_vocab_txt_of_mpnet_has_robertas_ends(tmp_path: Path) -> None:
    write_teacher(tmp_path, "mpnet")
    tokens = [
        {"[CLS]": "<s>", "[SEP]": "</s>", "[PAD]": "<pad>", "[MASK]": "<mask>"}.get(t, t) for t in vocabulary(tmp_path)
    ]
    old_files(tmp_path, {"vocab.txt": "\n".join(tokens)})
    tokenizer = load_tokenizer(open_checkpoint(str(tmp_path)), "text-classification")
    assert ids(tokenizer) == ids(MPNetTokenizer(vocab={token: i for i, token in enumerate(tokens)}))
    assert tokenizer.pad_token == "<pad>"


@pytest.mark.parametrize(("space", "end"), [(False, "\n"), (True, "\n"), (False, "\r"), (False, "\r\n")])
def test_vocab_json_and_merges_are_byte_level(tmp_path: Path, space: bool, end: str) -> None:
    byte_level(tmp_path)
    model = json.loads((tmp_path / "tokenizer.json").read_text())["model"]
    merges = ["#version: 0.2", *(" ".join(pair) for pair in model["merges"]), ""]
    files = {"vocab.json": json.dumps(model["vocab"]), "merges.txt": end.join(merges)}
    old_files(tmp_path, {**files, "tokenizer_config.json": json.dumps({"add_prefix_space": space})})
    tokenizer = load_tokenizer(open_checkpoint(str(tmp_path)), "text-classification")
    pairs = [tuple(pair) for pair in model["merges"]]
    texts = ("play the song", " stop", "music\nnow", "")
    reference = RobertaTokenizer(vocab=model["vocab"], merges=pairs, add_prefix_space=space)
    assert ids(tokenizer, texts) == ids(reference, texts)


def test_added_tokens_of_old_files_have_their_ids(folder: Path) -> None:
    tokens = vocabulary(folder)
    old_files(folder, {"vocab.txt": "\n".join(tokens), "added_tokens.json": json.dumps({"@user": len(tokens)})})
    edit(folder, "config.json", vocab_size=len(tokens) + 1)
    tokenizer = load_tokenizer(open_checkpoint(str(folder)), "text-classification")
    assert tokenizer("play @user")["input_ids"][2] == len(tokens)
    (folder / "added_tokens.json").write_text(json.dumps({"@user": len(tokens) + 7}))
    with pytest.raises(
        InputError, match=f"'@user' has the id {len(tokens) + 7} .* and {len(tokens)} in the vocabulary"
    ):
        load_tokenizer(open_checkpoint(str(folder)), "text-classification")


def test_added_tokens_of_the_config_are_added_too(folder: Path) -> None:
    size = len(vocabulary(folder))
    token = {
        "content": "[E1]",
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "single_word": False,
        "special": True,
    }
    edit(folder, "tokenizer_config.json", added_tokens_decoder={str(size): token})
    edit(folder, "config.json", vocab_size=size + 1)
    tokenizer = load_tokenizer(open_checkpoint(str(folder)), "text-classification")
    assert tokenizer("play [E1]")["input_ids"][2] == size
    edit(folder, "config.json", vocab_size=size)
    with pytest.raises(InputError, match=r"'\[E1\]' with id \d+, the model \d+; they are not of one checkpoint"):
        load_tokenizer(open_checkpoint(str(folder)), "text-classification")


# ---- limits and sides


LENGTHS: dict[str, tuple[str, int | str]] = {
    "none": ("null", 40),
    "the library's very large number": ("1000000000000000019884624838656", 40),
    "1e30": ("1e30", 40),
    "infinite": ("Infinity", 40),
    "shorter than the positions": ("24", 24),
    "a whole float": ("24.0", 24),
    "longer than the positions": ("512", 40),
    "negative": ("-1", "model_max_length is -1"),
    "nothing": ("0", "model_max_length is 0"),
    "minus infinity": ("-Infinity", "model_max_length is -inf"),
    "NaN": ("NaN", "model_max_length is nan"),
    "a text": ('"long"', "model_max_length is 'long'"),
    "a number as text": ('"512"', "model_max_length is '512'"),
    "true": ("true", "model_max_length is True"),
    "half a token": ("24.5", "model_max_length is 24.5"),
    "a list": ("[512]", r"model_max_length is \[512\]"),
    "too short for anything": ("3", "model_max_length is 3"),
}


@pytest.mark.parametrize("name", LENGTHS)
def test_the_longest_input(folder: Path, name: str) -> None:
    written, expected = LENGTHS[name]
    path = folder / "tokenizer_config.json"
    path.write_text(path.read_text().replace('"model_max_length": 128', f'"model_max_length": {written}'))
    assert written in path.read_text()
    if isinstance(expected, int):
        assert load_teacher(str(folder)).max_length == expected
        return
    with pytest.raises(InputError, match=expected):
        load_teacher(str(folder))


@pytest.mark.parametrize("option", ["do_lower_case", "strip_accents", "tokenize_chinese_chars", "add_prefix_space"])
def test_a_switch_is_true_or_false(folder: Path, option: str) -> None:
    for value in (True, False, 0, 1, None):
        edit(folder, "tokenizer_config.json", **{option: value})
        load_teacher(str(folder))
    edit(folder, "tokenizer_config.json", **{option: "false"})
    with pytest.raises(InputError, match=f"{option} is 'false' in tokenizer_config.json; allowed: true, false"):
        load_teacher(str(folder))


def test_the_older_name_of_the_longest_input(folder: Path) -> None:
    edit(folder, "tokenizer_config.json", model_max_length=..., max_len=32)
    assert load_teacher(str(folder)).max_length == 32


def test_sides_are_those_of_the_files(folder: Path) -> None:
    edit(folder, "tokenizer_config.json", truncation_side=..., padding_side=...)
    teacher = load_teacher(str(folder))
    assert (teacher.truncation_side, teacher.padding_side) == ("right", "right")
    edit_json(
        folder,
        "tokenizer.json",
        lambda d: d.update(truncation={"direction": "Left", "max_length": 9, "strategy": "LongestFirst", "stride": 0}),
    )
    assert load_teacher(str(folder)).truncation_side == "left"
    edit(folder, "tokenizer_config.json", truncation_side="right", padding_side="left")
    teacher = load_teacher(str(folder))
    assert (teacher.truncation_side, teacher.padding_side) == ("right", "left")
    assert (teacher.tokenizer.truncation_side, teacher.tokenizer.padding_side) == ("right", "right")  # as apps have it
    edit(folder, "tokenizer_config.json", truncation_side="middle")
    with pytest.raises(InputError, match="truncation_side is 'middle'"):
        load_teacher(str(folder))


BERTS = {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}


@pytest.mark.parametrize("own_step", [False, True], ids=["a template", "BERT's own step"])
@pytest.mark.parametrize(
    ("names", "types", "said"),
    [
        (["input_ids", "attention_mask"], [0, 0], "both texts of a pair have type 0"),
        (["input_ids", "token_type_ids"], [0, 1], ""),
        (None, [0, 1], "has no model_input_names"),
    ],
)
def test_types_reach_the_model_as_the_settings_say(
    tmp_path: Path, names: list[str] | None, types: list[int], said: str, own_step: bool
) -> None:
    write_teacher(tmp_path)
    edit(tmp_path, "tokenizer_config.json", model_input_names=names)
    if own_step:
        edit_json(tmp_path, "tokenizer.json", lambda d: d.update(post_processor=BERTS))
    before = Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode("play", "stop")
    teacher = load_teacher(str(tmp_path), pair=True)
    found = teacher.tokenizer("play", "stop")
    assert found["input_ids"] == before.ids
    assert [found["token_type_ids"][1], found["token_type_ids"][-1]] == types
    assert said in " ".join(teacher.notes)
    assert bool(said) == bool(teacher.notes)
    assert not load_teacher(str(tmp_path)).notes


def test_input_names_are_a_list(tmp_path: Path) -> None:
    write_teacher(tmp_path)
    edit(tmp_path, "tokenizer_config.json", model_input_names="input_ids")
    with pytest.raises(InputError, match=r"model_input_names is 'input_ids' in tokenizer_config\.json; a list"):
        load_teacher(str(tmp_path))


@pytest.mark.parametrize("order", [1, -1])
def test_a_vocabulary_beside_that_says_otherwise_is_said(folder: Path, order: int) -> None:
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    (folder / "vocab.txt").write_text("\n".join([*tokens[:5], *tokens[5:][::order]]))
    notes = [
        note for note in load_teacher(str(folder)).notes if "vocab.txt beside tokenizer.json has other ids" in note
    ]
    assert len(notes) == (order == -1)
