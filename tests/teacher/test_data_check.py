"""A teacher compared with data: rival tokenizers, sides, unknown words, one class alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgepack.errors import InputError
from edgepack.task.encoded import Encoded
from edgepack.task.examples import Dataset, Example
from edgepack.task.task import Task
from edgepack.task.tokenize import encode
from edgepack.teacher import check_sides, check_teacher, check_tokenizer, check_unknown, check_words, load_teacher
from tests.teacher.tiny import edit, edit_json


def data(*texts: str) -> Dataset:
    return Dataset(tuple(Example(text, None, None, i % 2) for i, text in enumerate(texts)), "", "")


def test_files_that_name_two_tokenizers_are_refused_where_the_data_shows_it(folder: Path) -> None:
    edit_json(folder, "tokenizer.json", lambda d: d["normalizer"].update(lowercase=False))
    edit(folder, "tokenizer_config.json", tokenizer_class="BertTokenizer", do_lower_case=True)
    teacher = load_teacher(str(folder))
    with pytest.raises(
        InputError, match=r"do_lower_case true, and tokenizer\.json does otherwise; 1 of 3 texts differ, as 'Play'"
    ):
        check_tokenizer(teacher, (data("stop", "Play"), data("music")))
    (note,) = check_tokenizer(teacher, (data("stop", "play"), data("music")))
    assert note.endswith("no text of the data shows which is right: tokenizer.json counts")


def test_one_tokenizer_needs_no_word(folder: Path) -> None:
    assert check_tokenizer(load_teacher(str(folder)), (data("Play"),)) == []


def test_texts_cut_at_their_beginning_are_refused(folder: Path) -> None:
    edit(folder, "tokenizer_config.json", truncation_side="left", padding_side="left")
    teacher = load_teacher(str(folder))
    long = data("play the song", "play " * 30)
    with pytest.raises(
        InputError, match=r"truncation_side is left.*1 of 3 texts have more than 16 tokens; shorten them"
    ):
        check_sides(teacher, (long, data("stop")), 16)
    notes = check_sides(teacher, (long, data("stop")), 32)
    assert [note.split(" is left")[0] for note in notes] == ["truncation_side", "padding_side"]


def test_sides_of_apps_need_no_word(folder: Path) -> None:
    assert check_sides(load_teacher(str(folder)), (data("play " * 90),), 16) == []


def test_a_vocabulary_of_another_language_is_refused(folder: Path) -> None:
    teacher = load_teacher(str(folder))

    def unknown(*texts: str) -> list[str]:
        return check_unknown(teacher, [encode(data(*texts), teacher.task, teacher.tokenizer, 40)])

    with pytest.raises(InputError, match="67% of the data's tokens are unknown to its tokenizer"):
        unknown("наблюдение здесь play")
    (note,) = unknown("play the song", "stop наблюдение now")
    assert note.startswith("17% of the data's tokens are unknown")
    assert unknown("play the song now", "stop the music now" * 9) == []


def test_words_that_the_tokenizer_drops_are_counted(folder: Path) -> None:
    tokenizer = load_teacher(str(folder)).tokenizer
    task = Task("token-classification", ("O", "B-a", "I-a"))
    texts = (("play", "music"), ("\u200b", "stop", "\ufeff"), ("play",) * 20)
    tagged = Dataset(tuple(Example(" ".join(words), None, words, (1,) * len(words)) for words in texts), "a.conll", "")
    (warning,) = check_words(tagged, encode(tagged, task, tokenizer, 8), 8)
    assert warning.startswith("a.conll: 2 of 25 tagged words have no token")
    assert "'\\u200b stop \\ufeff'" in warning
    whole = replace(tagged, examples=tagged.examples[::2])
    assert check_words(whole, encode(whole, task, tokenizer, 8), 8) == []
    labelled = encode(data("\u200b"), Task("text-classification", ("a", "b")), tokenizer, 8)
    assert check_words(data("\u200b"), labelled, 8) == []


def test_one_class_alone_shows_nothing(folder: Path) -> None:
    teacher = load_teacher(str(folder))
    evaluation = Encoded(np.zeros(6, np.int32), np.zeros(6, np.int8), np.arange(0, 7, 2), np.array([1, 1, 1]))
    right = np.eye(2)[[1, 1, 1]]
    with pytest.raises(InputError, match="all 3 evaluation examples have one label, 'pos'"):
        check_teacher(teacher, evaluation, right)
    assert check_teacher(teacher, evaluation, right, allow_untrained=True).metric == 1.0


@pytest.mark.parametrize("allowed", [False, True])
def test_answers_that_are_no_numbers_are_refused_as_such(folder: Path, allowed: bool) -> None:
    teacher = load_teacher(str(folder))
    encoded = encode(data("stop", "play"), teacher.task, teacher.tokenizer, teacher.max_length)
    logits = np.array([[np.nan, np.nan], [0, 1]], np.float32)
    with pytest.raises(InputError, match=r"its answers to 1 of 2 evaluation examples are not finite \(NaN or infinite"):
        check_teacher(teacher, encoded, logits, allowed)
