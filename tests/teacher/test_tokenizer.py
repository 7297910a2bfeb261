"""The tokenizer that runs is the folder's: its pipeline, its old files, its limits and sides; what cannot be is "
"refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer, BertTokenizer, MPNetTokenizer, RobertaTokenizer

from edgepack.bundle.goldens import HARD_TEXTS
from edgepack.demo.base import make_tokenizer
from edgepack.errors import InputError
from edgepack.teacher import load_teacher, load_tokenizer, open_checkpoint
from edgepack.teacher.tokenizer import open_tokenizer
from edgepack.tokenizer.asset import asset_bytes
from tests.teacher.tiny import SENTENCES, byte_level_tokenizer, edit, edit_json, write_teacher

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


RIVALS: dict[str, tuple[dict[str, Any], Change]] = {
    "do_lower_case true": ({"do_lower_case": True}, normalizer(lowercase=False)),
    "do_lower_case false": ({"do_lower_case": False}, normalizer(lowercase=True)),
    "do_lower_case of another normalizer": ({"do_lower_case": True}, lambda d: d.update(normalizer={"type": "NFC"})),
    "strip_accents": ({"strip_accents": False}, normalizer(strip_accents=None)),
    "tokenize_chinese_chars": ({"tokenize_chinese_chars": False}, normalizer(handle_chinese_chars=True)),
}


@pytest.mark.parametrize("name", RIVALS)
def test_an_option_that_the_file_contradicts_is_a_rival(folder: Path, name: str) -> None:
    options, change = RIVALS[name]
    edit_json(folder, "tokenizer.json", change)
    edit_json(folder, "tokenizer.json", lambda d: d["model"]["vocab"].update({"Play": 900 + len(d["model"]["vocab"])}))
    edit_json(folder, "tokenizer.json", lambda d: renumber(d["model"]["vocab"]))
    edit(folder, "tokenizer_config.json", tokenizer_class="BertTokenizerFast", **options)
    rows = len(json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"])
    edit(folder, "config.json", vocab_size=rows)
    rival = open_tokenizer(open_checkpoint(str(folder)), "text-classification").rival
    assert rival is not None
    assert rival.difference.startswith(f"tokenizer_config.json says {name.split()[0]} ")
    edit(folder, "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    assert open_tokenizer(open_checkpoint(str(folder)), "text-classification").rival is None


def renumber(vocabulary: dict[str, int]) -> None:
    """Add letters as tokens, so that case, accents and ideographs show in the ids."""
    for token in ["Q", "É", "é", "中", "文", "中文", "test中文test", *"ABCDEFGHIJKLMNOPRSTUVWXYZ"]:
        vocabulary.setdefault(token, 0)
    for number, token in enumerate(sorted(vocabulary, key=lambda t: (not t.startswith("["), vocabulary[t], t))):
        vocabulary[token] = number
    for number, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]):
        assert vocabulary[token] == number


def byte_level(folder: Path, **settings: Any) -> None:
    write_teacher(folder, "roberta", tokenizer=byte_level_tokenizer())
    edit(folder, "tokenizer_config.json", tokenizer_class="RobertaTokenizer", **settings)


def test_the_space_before_the_first_word_is_the_files(tmp_path: Path) -> None:
    byte_level(tmp_path, add_prefix_space=...)
    opened = open_tokenizer(open_checkpoint(str(tmp_path)), "text-classification")
    assert ids(opened.tokenizer) == file_ids(tmp_path)
    assert opened.rival is None
    edit(tmp_path, "tokenizer_config.json", add_prefix_space=False)
    opened = open_tokenizer(open_checkpoint(str(tmp_path)), "text-classification")
    assert opened.rival is not None
    assert "add_prefix_space false" in opened.rival.difference
    assert open_tokenizer(open_checkpoint(str(tmp_path)), "token-classification").rival is None  # words have it anyway


# ---- the time before tokenizer.json


def old_files(folder: Path, names: dict[str, str]) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    for name, content in names.items():
        (folder / name).write_bytes(content.encode())


def vocabulary(folder: Path) -> list[str]:
    held = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    return sorted(held, key=held.__getitem__)


@pytest.mark.parametrize(
    "options", [{}, {"do_lower_case": False}, {"strip_accents": False}, {"tokenize_chinese_chars": False}]
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_vocab_txt_is_berts_word_piece(folder: Path, end: str, options: dict[str, bool]) -> None:
    tokens = vocabulary(folder)
    old_files(folder, {"vocab.txt": end.join([*tokens, ""]), "tokenizer_config.json": json.dumps(options)})
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


@pytest.mark.parametrize("space", [False, True])
def test_vocab_json_and_merges_are_byte_level(tmp_path: Path, space: bool) -> None:
    byte_level(tmp_path)
    model = json.loads((tmp_path / "tokenizer.json").read_text())["model"]
    merges = ["#version: 0.2", *(" ".join(pair) for pair in model["merges"]), ""]
    files = {"vocab.json": json.dumps(model["vocab"]), "merges.txt": "\n".join(merges)}
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


# ---- what cannot be this teacher's


def model(**change: Any) -> Callable[[Path], None]:
    return lambda folder: edit_json(folder, "tokenizer.json", lambda d: d["model"].update(change))


def document(**change: Any) -> Callable[[Path], None]:
    return lambda folder: edit(folder, "tokenizer.json", **change)


def letters(folder: Path) -> None:
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *alphabet, *(f"##{letter}" for letter in alphabet[:3])]
    model(vocab={token: i for i, token in enumerate(tokens)})(folder)


def template(**change: Any) -> Callable[[Path], None]:
    return lambda folder: edit_json(
        folder, "tokenizer.json", lambda d: d["post_processor"]["special_tokens"]["[CLS]"].update(change)
    )


def only(**files: str) -> Callable[[Path], None]:
    return lambda folder: old_files(folder, {name.replace("__", "."): content for name, content in files.items()})


def setting(**change: Any) -> Callable[[Path], None]:
    return lambda folder: edit(folder, "tokenizer_config.json", **change)


WORDS = "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz", "play", "song"])
SPIECE = {"spiece__model": "\x0a\x0egarbage"}
REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no unknown token": (
        model(unk_token="[OOV]"),
        r"unknown token '\[OOV\]' of tokenizer\.json is not in its vocabulary",
    ),
    "letters alone": (letters, r"has \d+ tokens, single letters only, and the model's word table \d+ rows"),
    "special tokens alone": (
        model(vocab={"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}),
        "has 5 tokens, special tokens only",
    ),
    "an id beyond the table": (
        lambda f: edit_json(f, "tokenizer.json", lambda d: d["model"]["vocab"].update(song=10**6)),
        "'song' with id 1000000, the model",
    ),
    "two tokens with one id": (
        lambda f: edit_json(
            f, "tokenizer.json", lambda d: d["model"]["vocab"].update(song=d["model"]["vocab"]["play"])
        ),
        "share the id",
    ),
    "a template with other ids": (
        template(ids=[77]),
        r"puts '\[CLS\]' with id 77 around each text, and its vocabulary has it",
    ),
    "a template with a token that is nowhere": (template(tokens=["[BOS]"]), r"puts '\[BOS\]' with id 2 .* lacks it"),
    "no special tokens around a text": (document(post_processor=None), "puts no special token around a text"),
    "another token for the end": (
        setting(sep_token="[END]"),
        r"sep_token is '\[END\]', which is not in the vocabulary",
    ),
    "a broken regex": (
        document(pre_tokenizer={"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated", "invert": False}),
        "tokenizer does not load",
    ),
    "a broken map": (
        document(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
        "tokenizer does not load",
    ),
    "nested without end": (
        lambda f: (f / "tokenizer.json").write_text('{"model": ' + "[" * 100_000),
        "tokenizer does not load",
    ),
    "a Git LFS pointer": (
        lambda f: (f / "tokenizer.json").write_text(
            "version https://git-lfs.github.com/spec/v1\noid sha256:3c\nsize 9\n"
        ),
        r"tokenizer\.json is a Git LFS pointer",
    ),
    "UTF-16": (
        lambda f: (f / "tokenizer_config.json").write_bytes("{}".encode("utf-16")),
        "is UTF-16; save it as UTF-8",
    ),
    "its own Python code": (setting(auto_map={"AutoTokenizer": ["x.Y", None]}), "own Python code .auto_map."),
    "special tokens that are split": (setting(split_special_tokens=True), "split_special_tokens is True"),
    "a token that is no text": (setting(pad_token=[0]), r"pad_token is \[0\]; a token is needed"),
    "a list that is none": (setting(additional_special_tokens="x"), "additional_special_tokens is 'x'; a list"),
    "an added token without a number": (setting(added_tokens_decoder={"last": {"content": "x"}}), "has the id 'last'"),
    "a SentencePiece file alone": (
        only(**SPIECE),
        r"SentencePiece file alone \(spiece\.model\); write a tokenizer\.json",
    ),
    "vocab.json of a word list": (only(vocab__json=json.dumps({"a": 0})), r"the tokenizer is vocab\.json alone"),
    "merges alone": (only(merges__txt="a b"), r"the tokenizer is merges\.txt alone"),
    "nothing": (only(), r"no tokenizer; one of tokenizer\.json"),
    "vocab.txt without its ends": (only(vocab__txt=WORDS.replace("[CLS]", "[BEGIN]")), r"vocab\.txt lacks a cls_token"),
    "vocab.txt with a line twice": (
        only(vocab__txt=WORDS + "\nplay"),
        r"vocab\.txt:34: 'play' stands twice, at 32 too",
    ),
    "vocab.txt that is no text": (
        lambda f: (only()(f), (f / "vocab.txt").write_bytes(b"\xff\x00")),
        "is no UTF-8 text",
    ),
    "vocab.txt with capitals": (
        only(vocab__txt=WORDS + "\nPlay\nSong"),
        r"tokens with capitals .'Play'.*do_lower_case",
    ),
    "vocab.txt of a Japanese class": (
        only(vocab__txt=WORDS, tokenizer_config__json='{"tokenizer_class": "BertJapaneseTokenizer"}'),
        "tokenizer_class 'BertJapaneseTokenizer' is not what vocab.txt alone says",
    ),
    "vocab.txt without basic tokens": (
        only(vocab__txt=WORDS, tokenizer_config__json='{"do_basic_tokenize": false}'),
        "says do_basic_tokenize False, which vocab.txt alone does not give",
    ),
    "merges of one part": (only(vocab__json='{"<s>": 0}', merges__txt="a"), r"merges\.txt holds 'a'; two parts"),
    "ids that are no numbers": (only(vocab__json='{"<s>": "0"}', merges__txt="a b"), "gives '<s>' the id '0'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_tokenizer_that_cannot_be_the_teachers_is_one_line(
    folder: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    spoil, message = REFUSED[name]
    spoil(folder)
    capfd.readouterr()
    with pytest.raises(InputError, match=message) as caught:
        load_teacher(str(folder))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600
    assert capfd.readouterr() == ("", "")  # a panic of the Rust code says nothing of its own


def word_level(**change: Any) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        held = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
        kind = {"type": "WordLevel", "vocab": held, "unk_token": "[UNK]", **change}
        document(model={key: value for key, value in kind.items() if value is not ...})(folder)

    return spoil


def test_a_model_without_an_unknown_token_is_refused(folder: Path) -> None:
    for spoil, message in (
        (word_level(unk_token="[OOV]"), r"unknown token '\[OOV\]'"),
        (model(unk_token=None), "does not load|names no unknown token"),
        (
            document(
                model={
                    "type": "BPE",
                    "vocab": dict(zip(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play"], range(6), strict=True)),
                    "merges": [],
                }
            ),
            "no unknown token",
        ),
    ):
        copy = folder.parent / f"copy{len(os.listdir(folder.parent))}"
        make_tokenizer(SENTENCES).save_pretrained(copy)
        for file in ("config.json", "model.safetensors"):
            os.link(folder / file, copy / file)
        spoil(copy)
        with pytest.raises(InputError, match=message):
            load_teacher(str(copy))


def test_random_tokenization_is_refused(tmp_path: Path) -> None:
    byte_level(tmp_path)
    edit_json(tmp_path, "tokenizer.json", lambda d: d["model"].update(dropout=0.1))
    with pytest.raises(InputError, match=r"says dropout 0\.1, which tokenizes at random"):
        load_tokenizer(open_checkpoint(str(tmp_path)), "text-classification")
