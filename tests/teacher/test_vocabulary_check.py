"""A tokenizer that cannot be this teacher's is refused in one line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgepack.demo.base import make_tokenizer
from edgepack.errors import InputError
from edgepack.teacher import load_teacher, load_tokenizer, open_checkpoint
from tests.teacher.tiny import SENTENCES, byte_level, edit, edit_json, old_files


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


def into_a_folder(folder: Path) -> None:
    (folder / "own").mkdir()
    (folder / "tokenizer.json").rename(folder / "own" / "tokenizer.json")


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
    "vocab.txt with counts": (
        only(vocab__txt=WORDS.replace("\n", "\t9\n")),
        r"vocab\.txt:1: '\[PAD\]\\t9' has a space or a tab; a token alone on each line is needed",
    ),
    "a tokenizer in a folder inside": (
        into_a_folder,
        "no tokenizer; .* copy the files into the folder, those in own",
    ),
    "vocab.json of a word list": (only(vocab__json=json.dumps({"a": 0})), r"the tokenizer is vocab\.json alone"),
    "merges alone": (only(merges__txt="a b"), r"the tokenizer is merges\.txt alone"),
    "nothing": (only(), r"no tokenizer; one of tokenizer\.json"),
    "vocab.txt without its ends": (only(vocab__txt=WORDS.replace("[CLS]", "[BEGIN]")), r"vocab\.txt lacks a cls_token"),
    "vocab.txt with a line twice": (
        only(vocab__txt=WORDS + "\nplay"),
        r"vocab\.txt:34: 'play' stands twice, at 32 too; transformers takes the last one: if .* write \[unused1\]",
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
        r"tokenizer_class is 'BertJapaneseTokenizer', which uses MeCab, .* Python code that no tokenizer\.json holds",
    ),
    "a tokenizer.json beside a class that cuts words in Python": (
        setting(tokenizer_class="RoFormerTokenizerFast"),
        "tokenizer_class is 'RoFormerTokenizerFast', which uses jieba for words",
    ),
    "vocab.txt of another class": (
        only(vocab__txt=WORDS, tokenizer_config__json='{"tokenizer_class": "TapasTokenizer"}'),
        "tokenizer_class 'TapasTokenizer' is not what vocab.txt alone says",
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


@pytest.mark.parametrize(
    ("padding", "message"),
    [(2, "pad_token_id is 2 .* '</s>' with that id in each text"), (None, "pad_token_id is None")],
)
def test_positions_are_counted_behind_a_token_that_no_text_has(
    tmp_path: Path, padding: int | None, message: str
) -> None:
    """transformers gives the token of padding no position of its own: a student would read its text elsewhere."""
    byte_level(tmp_path)
    assert load_teacher(str(tmp_path)).max_length == 38
    edit(tmp_path, "config.json", pad_token_id=padding)
    with pytest.raises(InputError, match=message):
        load_teacher(str(tmp_path))
