"""A teacher of texts that are longer than its base takes: words are learnt in windows, labels from the beginning."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.finetune import Options
from tests.finetune.tiny import WORDS, Files, run, write_rows

LENGTH = 16
FAR = ["please"] * 20  # behind the longest input
KINDS = list(WORDS)


def write_tagged(path: Path, count: int) -> str:
    """Sentences whose only entities stand behind the longest input, and whose words alone tell their types."""
    lines = []
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        word = WORDS[kind][number // len(KINDS) % len(WORDS[kind])]
        words, tags = [*FAR[number % 5 :], word, "two"], ["O"] * len(FAR[number % 5 :]) + [f"B-{kind}", "O"]
        lines.append(json.dumps({"tokens": words, "tags": tags}))
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.fixture
def tagged(files: Files, tmp_path: Path) -> Files:
    return Files(files.base, write_tagged(tmp_path / "train.jsonl", 60), write_tagged(tmp_path / "eval.jsonl", 20))


def test_words_behind_the_longest_input_are_learnt(tagged: Files, tmp_path: Path) -> None:
    asked = {"max_length": LENGTH, "epochs": 12}
    result = run(tagged, tmp_path / "windows", **asked)
    assert result.metric > 0.9
    assert result.rows + result.held_out_rows == 60  # examples, however many windows they are
    assert result.settings.epoch_steps > -(-result.rows // result.settings.batch_size)  # an epoch has all windows
    cut = run(tagged, tmp_path / "cut", long_texts="cut", **asked)
    assert cut.metric == 0


def test_what_is_done_with_long_texts_is_said(
    tagged: Files, files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tagged, tmp_path / "tags", max_length=LENGTH, epochs=1, console=Console())
    said = capsys.readouterr().err
    assert "60 of 60 training texts have more than 16 tokens; long texts are read whole, in windows of 16" in said
    assert "20 of 20 evaluation texts have more than 16 tokens; long texts are read whole" in said
    rows = [(" ".join([WORDS[kind][0], *FAR]), kind) for kind in KINDS] * 20
    labelled = {"train": write_rows(tmp_path / "train.tsv", rows), "evaluation": files.evaluation}
    run(files, tmp_path / "cut", max_length=LENGTH, epochs=1, console=Console(), **labelled)
    said = capsys.readouterr().err
    assert "60 of 60 training texts have more than 16 tokens: they are cut there; --long-texts windows reads" in said
    assert "evaluation texts" not in said  # none of them is long
    run(files, tmp_path / "read", max_length=LENGTH, epochs=1, long_texts="windows", console=Console(), **labelled)
    assert "60 of 60 training texts have more than 16 tokens; long texts are read whole" in capsys.readouterr().err


def test_another_way_of_reading_is_refused() -> None:
    with pytest.raises(InputError, match="long texts are 'whole'; allowed: cut, windows"):
        Options(long_texts="whole")  # type: ignore[arg-type]
