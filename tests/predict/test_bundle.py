"""A bundle that answers: through its own files, as its goldens say, and with a word where a text is doubtful."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tokenizers import Tokenizer
from tokenizers.models import BPE, Unigram, WordPiece

from edgepack.bundle.goldens import read_goldens
from edgepack.bundle.write import Bundle as Written
from edgepack.cli import main
from edgepack.cli.texts import read_texts
from edgepack.errors import InputError
from edgepack.predict import Bundle
from edgepack.predict.bundle import JsonTokenizer
from edgepack.task.probabilities import softmax
from tests.evidence.conftest import bundle as bundle
from tests.evidence.conftest import world as world


@pytest.fixture(scope="module")
def folder(bundle: Written) -> Path:
    return bundle.folder


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Bundle:
    return Bundle.load(folder)


def test_answers_are_those_of_the_goldens(loaded: Bundle, folder: Path) -> None:
    count = 0
    for golden in read_goldens(folder / "golden.jsonl"):
        answer = loaded(golden["text"])
        expected = softmax(np.asarray(golden["logits"]) / (loaded.manifest.temperature or 1))
        given = [answer.probabilities[label] for label in loaded.manifest.labels]
        assert np.allclose(given, expected, atol=0.02), golden["text"]
        assert answer.tokens == len(golden["input_ids"])
        count += 1
    assert count > 50


def test_without_the_asset_the_tokenizers_library_reads_the_same(loaded: Bundle, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "bundle")
    (tmp_path / "bundle" / "tokenizer.bin").unlink()
    other = Bundle.load(tmp_path / "bundle")
    for text in ("the lamp", "", "Ångström zzz " * 40):
        assert other(text).to_record() == loaded(text).to_record()


def test_the_unknown_token_of_each_model_of_the_library_is_found() -> None:
    pieces = Tokenizer(Unigram([("<pad>", 0.0), ("<unk>", 0.0), ("a", -1.0)], unk_id=1))
    words = Tokenizer(WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    assert [JsonTokenizer(each).unknown for each in (pieces, words, Tokenizer(BPE()))] == [1, 0, None]


def test_a_cut_text_and_an_unknown_one_say_so(loaded: Bundle) -> None:
    assert "the end was not read" in " ".join(loaded("a b " * 500).warnings)
    unknown = loaded("\U0001f600 \U0001f601")
    assert (unknown.unknown, unknown.cut) == (1.0, False)
    assert "unknown to the model" in unknown.warnings[0]
    assert loaded("").warnings == ()


def test_lists_and_single_texts(loaded: Bundle) -> None:
    one, two = loaded(["a", "b"])
    assert (one, two) == (loaded("a"), loaded("b"))
    assert loaded([]) == []
    assert sum(one.probabilities.values()) == pytest.approx(1)
    assert list(one.probabilities.values()) == sorted(one.probabilities.values(), reverse=True)
    assert one.probabilities[one.label or ""] == one.probability


def test_a_pair_for_a_bundle_of_single_texts_is_refused(loaded: Bundle) -> None:
    with pytest.raises(InputError, match="this bundle takes one text"):
        loaded([("a", "b")])


def test_what_is_no_list_of_texts_or_no_pair_is_refused(loaded: Bundle) -> None:
    assert list(loaded.answers(text for text in ("a", "b"))) == loaded(["a", "b"])
    for texts in ("ab", None, 5, {"a": 1}, b"ab"):
        with pytest.raises(InputError, match="a list or a generator of texts is needed"):
            list(loaded.answers(texts))  # type: ignore[arg-type]
    paired = replace(loaded, manifest=loaded.manifest.model_copy(update={"pair": True}))
    for text in (None, 5, "ab", {"text": "a", "text_pair": "b"}, ("a",), ("a", None)):
        with pytest.raises(InputError, match="this bundle takes pairs: give a tuple of two texts"):
            paired.answer(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"folder": None}, "folder is None; give a path"),
        ({"threads": 0}, "threads is 0; allowed: whole numbers from 1"),
        ({"threads": 10**9}, "allowed: whole numbers from 1 to 1,024"),
        ({"cache": __file__}, "which is a file; give a folder"),
        ({"folder": __file__}, "is no bundle: it is a file; give a folder under OUT/bundles of a build"),
        ({"threads": True}, "threads is True; allowed"),
        ({"threads": "2"}, "threads is '2'; allowed"),
        ({"cache": 3}, "cache is 3; give a path"),
    ],
)
def test_what_is_no_folder_or_number_is_refused(folder: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Bundle.load(**{"folder": folder, **given})


def test_the_command(folder: Path) -> None:
    told = CliRunner().invoke(main, ["predict", str(folder), "-", "--json"], input="one\ntwo\n")
    assert told.exit_code == 0, told.output
    assert [json.loads(line)["text"] for line in told.stdout.splitlines()] == ["one", "two"]
    told = CliRunner().invoke(main, ["predict", str(folder), "one"])
    assert told.stdout.startswith("one\n  ")
    assert CliRunner().invoke(main, ["predict", str(folder)]).exit_code == 2
    assert "no text given" in CliRunner().invoke(main, ["predict", str(folder)]).stderr


def test_texts_of_the_command_line() -> None:
    assert list(read_texts(["a", "b"], [], False)) == ["a", "b"]
    assert list(read_texts(["a", "b"], [], True)) == [("a", "b")]
    with pytest.raises(InputError, match="standard input is closed; give texts as arguments"):
        read_texts(["-"], None, False)
    assert list(read_texts(["-"], io.BytesIO(b"a\tb\n c\td\r\n"), True)) == [("a", "b"), (" c", "d")]
    assert list(read_texts(["-"], ["\ufeffé\r\n".encode(), b"b"], False)) == ["é", "b"]
    for arguments, lines, pair, said in (
        ([], [], False, "no text given"),
        (["a", "-"], [], False, "beside -"),
        (["a"], [], True, "1 texts for a bundle that takes pairs"),
        (["-"], [b"a b\n"], True, "standard input:1: 'a b' has no tab"),
        (["-"], [b"a\n", b"caf\xe9\n"], False, r"standard input:2: byte 3 \(0xe9\) is not UTF-8"),
        (["-"], ["a\n".encode("utf-16")], False, "standard input is UTF-16"),
        (["caf\udce9"], [], False, r"text is 'caf\\udce9', which is not UTF-8"),
    ):
        with pytest.raises(InputError, match=said):
            list(read_texts(arguments, lines, pair))
