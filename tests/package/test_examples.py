"""Examples in the web app: the task's own texts alone, short, whole, with different answers; none unless asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgepack.bundle.goldens import HARD_TEXTS
from edgepack.errors import InputError
from edgepack.package import AppOptions, package_app, package_bundle

HARD = (HARD_TEXTS[0], HARD_TEXTS[1])


def golden(text: str, label: str = "no", pair: str | None = None, tokens: int = 5, **more: Any) -> dict[str, Any]:
    """A golden of so many tokens."""
    rows = {name: [0] * tokens for name in ("token_type_ids", "attention_mask")}
    spans = {name: [[0, 0]] * tokens for name in ("offsets_utf16", "offsets_codepoint")}
    pairs = {} if pair is None else {"pair": pair}
    ids = {"input_ids": [1] * tokens}
    return {"text": text, **pairs, **ids, **rows, **spans, "logits": [1.0, 0.0], "label": label, **more}


@pytest.fixture
def examples(bundle: Path, tmp_path: Path) -> Callable[..., list[list[str | None]]]:
    """The examples of a site of a bundle with these goldens."""

    def packaged(goldens: list[dict[str, Any]], count: int) -> list[list[str | None]]:
        (bundle / "golden.jsonl").write_text("".join(json.dumps(line) + "\n" for line in goldens))
        manifest = json.loads((bundle / "edgepack.json").read_text())
        manifest["files"] = [record for record in manifest["files"] if record["path"] != "golden.jsonl"]
        (bundle / "edgepack.json").write_text(json.dumps(manifest))
        package_bundle(bundle, "web", tmp_path / "site", AppOptions(examples=count), force=True)
        (line,) = [row for row in (tmp_path / "site" / "config.js").read_text().splitlines() if "EXAMPLES =" in row]
        found: list[list[str | None]] = json.loads(line.partition(" = ")[2].rstrip(";"))
        return found

    return packaged


def test_hard_long_cut_and_repeated_texts_are_no_examples(examples: Callable[..., list[list[str | None]]]) -> None:
    unfit = [golden(text) for text in ("", " ", " spaced", "two\nlines", "w" * 101)]
    unfit += [golden("cut", tokens=64), golden("windows", windows=[[0, 2], [1, 3]])]
    goldens = [*unfit, golden("fit"), golden("fit"), golden("w" * 100), golden(HARD[0]), golden("A")]
    assert examples(goldens, 5) == [["fit", None], ["w" * 100, None]]


def test_different_answers_come_first(examples: Callable[..., list[list[str | None]]]) -> None:
    goldens = [golden("one"), golden("two"), golden("three", "yes")]
    assert examples(goldens, 2) == [["one", None], ["three", None]]
    assert examples(goldens, 5) == [["one", None], ["three", None], ["two", None]]
    assert examples(goldens, 0) == []


def test_of_pairs_both_texts(examples: Callable[..., list[list[str | None]]]) -> None:
    goldens = [golden("one", pair="other"), golden("two", pair=""), golden(HARD[0], pair=HARD[1])]
    assert examples(goldens, 3) == [["one", "other"]]


def test_what_cannot_be_is_refused(
    examples: Callable[..., list[list[str | None]]], bundle: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"no text of one line and at most 100 characters"):
        examples([golden(HARD[0])], 3)
    with pytest.raises(InputError, match=r"examples is 6; allowed: whole numbers from 0 to 5"):
        package_bundle(bundle, "web", tmp_path / "six", AppOptions(examples=6))
    with pytest.raises(InputError, match=r"the android app shows none"):
        package_bundle(bundle, "android", tmp_path / "android", AppOptions(examples=1))


def test_python_takes_the_option_too(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"examples is 1; the ios app shows none"):
        package_app(bundle, app="ios", output=tmp_path / "app", examples=1)
    with pytest.raises(InputError, match=r"package_app has no option 'exampels'.*examples"):
        package_app(bundle, app="web", output=tmp_path / "app", exampels=1)  # type: ignore[call-arg]
