"""Goldens: which texts, what is recorded of each, what counts as coming out again. No model runs: logits are made."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from edgepack.bundle import goldens as goldens_module
from edgepack.bundle.goldens import (
    GOLDEN_NAME,
    HARD_TEXTS,
    check_goldens,
    compare_goldens,
    golden_check,
    golden_texts,
    load_tokenizer,
    read_goldens,
    run_golden,
    token_failure,
    tokenize,
    with_length,
    write_goldens,
)
from edgepack.bundle.verdict import Check
from edgepack.errors import InputError, bare
from edgepack.target import load_target
from edgepack.task.task import Task
from edgepack.tokenizer.asset import ASSET_NAME
from edgepack.tokenizer.reader import Encoding

TARGET = load_target("android-onnx")
LABELS = ("no", "maybe", "yes")
TASKS = {False: Task("text-classification", LABELS), True: Task("token-classification", LABELS, scheme="plain")}
LENGTH = 8


def make_tokenizer() -> Tokenizer:
    """Letters as tokens, `[CLS] a [SEP] b [SEP]`, types 0 and 1."""
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdef", *(f"##{letter}" for letter in "abcdef"), "😀"]
    tokenizer = Tokenizer(models.WordPiece({t: i for i, t in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


@dataclass
class MadeSession:
    """Logits that follow from the ids and the types; for each token where `per_token`."""

    per_token: bool = False
    off: float = 0.0  # added to the first logit
    factor: float = 1.0
    input_names: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids")
    asked: list[list[int]] = field(default_factory=list)

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        assert set(inputs) == {"input_ids", "attention_mask", "token_type_ids"}
        assert all(array.dtype == np.int64 and array.ndim == 2 and len(array) == 1 for array in inputs.values())
        self.asked.append(inputs["input_ids"][0].tolist())
        rows = self.logits(inputs["input_ids"], inputs["token_type_ids"])
        return rows if self.per_token else rows[:, 0] + np.float32(rows.shape[1])

    def logits(self, ids: np.ndarray, types: np.ndarray) -> np.ndarray:
        rows = np.stack([np.sin(ids), np.cos(ids) + types, ids / 7], axis=-1) * self.factor
        rows[..., 0] += self.off
        return rows.astype(np.float32)


def record(tokenizer: Tokenizer, text: str, pair: str | None, per_token: bool = False) -> dict[str, Any]:
    """A golden as it has to be."""
    golden = tokenize(tokenizer, text, pair)
    logits = run_golden(MadeSession(per_token), golden)
    decided = [LABELS[i] for i in logits.reshape(-1, 3).argmax(axis=1)]
    rounded = [[float(f"{value:.4f}") for value in row] for row in logits.reshape(-1, 3).tolist()]
    return {**golden, "logits": rounded if per_token else rounded[0], "label": decided if per_token else decided[0]}


def test_the_tokens_of_a_text_and_of_a_pair() -> None:
    tokenizer = make_tokenizer()
    assert tokenize(tokenizer, "😀 ab", None) == {
        "text": "😀 ab",
        "input_ids": [2, 16, 4, 11, 3],
        "token_type_ids": [0, 0, 0, 0, 0],
        "attention_mask": [1, 1, 1, 1, 1],
        "offsets_utf16": [[0, 0], [0, 2], [3, 4], [4, 5], [0, 0]],
        "offsets_codepoint": [[0, 0], [0, 1], [2, 3], [3, 4], [0, 0]],
    }
    assert tokenize(tokenizer, "a", "😀b c") == {
        "text": "a",
        "pair": "😀b c",
        "input_ids": [2, 4, 3, 16, 11, 6, 3],
        "token_type_ids": [0, 0, 0, 1, 1, 1, 1],
        "attention_mask": [1, 1, 1, 1, 1, 1, 1],
        "offsets_utf16": [[0, 0], [0, 1], [0, 0], [0, 2], [2, 3], [4, 5], [0, 0]],
        "offsets_codepoint": [[0, 0], [0, 1], [0, 0], [0, 1], [1, 2], [3, 4], [0, 0]],
    }


def test_a_tokenizer_with_a_length_cuts_the_longer_text_and_never_pads() -> None:
    given = make_tokenizer()
    given.enable_padding(length=20)
    given.enable_truncation(5)
    copy = with_length(given, LENGTH)
    assert copy.encode("a b c d e f a b").ids == [2, 4, 5, 6, 7, 8, 9, 3]
    assert copy.encode("a", "a b c d e f").ids == [2, 4, 3, 4, 5, 6, 7, 3]
    assert copy.encode("a").ids == [2, 4, 3]
    assert len(given.encode("a").ids) == 20


def test_the_texts_are_the_tasks_the_hard_ones_and_those_around_the_maximum() -> None:
    tokenizer = make_tokenizer()
    task = [(f"text {i}", None) for i in range(34)]
    around = [" ".join(["a"] * n) for n in (5, 6, 7, 56)]  # two of eight tokens are special
    hard = [*HARD_TEXTS, *around]
    assert golden_texts(task, tokenizer, LENGTH) == [*task[:32], *((text, None) for text in hard)]
    assert golden_texts([], tokenizer, LENGTH) == [(text, None) for text in hard]
    assert [text for text, _ in golden_texts([], tokenizer, 2)[-4:]] == ["a", "a", "a", " ".join(["a"] * 50)]


def test_hard_texts_are_of_every_kind() -> None:
    letters = {letter for text in HARD_TEXTS for letter in text}
    assert {unicodedata.category(letter) for letter in letters} >= {
        "Cc", "Cf", "Cn", "Co", "Ll", "Lm", "Lo", "Lu", "Mc", "Mn", "Nd", "No", "Pc", "Pd", "Sc", "Sk", "Sm", "So",
        "Zl", "Zp", "Zs",
    }  # fmt: skip
    assert {unicodedata.bidirectional(letter) for letter in letters} >= {"AL", "L", "R", "RLO"}
    assert {len(word) for text in HARD_TEXTS for word in text.split()} >= {99, 100, 101, 200}
    for form in ("NFC", "NFD", "NFKC"):  # texts that are in the form, and texts that are not
        assert {unicodedata.is_normalized(form, text) for text in HARD_TEXTS} == {True, False}  # type: ignore[arg-type]
    assert {"", " ", "\u200b", "[CLS] [SEP] [MASK] [PAD] [UNK]", "<s> </s> <mask> <pad> <unk>"} <= {*HARD_TEXTS}
    assert len(HARD_TEXTS) == len({*HARD_TEXTS}) == 51


def test_hard_texts_of_a_pair_task_are_pairs() -> None:
    pairs = [(f"text {i}", f"pair {i}") for i in range(3)]
    found = golden_texts(pairs, make_tokenizer(), LENGTH)
    around = [" ".join(["a"] * n) for n in (5, 6, 7, 56)]
    hard = [*HARD_TEXTS, *around]
    assert found[:3] == pairs
    assert [text for text, _ in found[3:-2]] == hard
    assert [pair for _, pair in found[3:-2]] == [*hard[1:], hard[0]]
    assert found[-2:] == [(around[-1], "a"), ("a", around[-1])]


@pytest.mark.parametrize("per_token", [False, True])
@pytest.mark.parametrize("pair", [None, "b c"])
def test_what_is_written_is_what_tokenizer_and_artifact_give(tmp_path: Path, per_token: bool, pair: str | None) -> None:
    tokenizer = make_tokenizer()
    texts = [("a b c d e f a b c d", pair), ("é a", pair)]
    count = write_goldens(tmp_path / GOLDEN_NAME, tokenizer, MadeSession(per_token), TASKS[per_token], LENGTH, texts)
    cut = with_length(tokenizer, LENGTH)
    wanted = [record(cut, *text, per_token) for text in golden_texts(texts, cut, LENGTH)]
    content = (tmp_path / GOLDEN_NAME).read_bytes()
    assert content == b"".join(json.dumps(golden, separators=(",", ":")).encode() + b"\n" for golden in wanted)
    assert count == len(wanted)
    assert {label for golden in wanted for label in ([golden["label"]] if not per_token else golden["label"])} <= {
        *LABELS
    }
    session, goldens = MadeSession(per_token), list(read_goldens(tmp_path / GOLDEN_NAME))
    assert compare_goldens(goldens, cut, None, session, LENGTH) == []
    assert len(session.asked) == count


TEXTS = [("a b", None), ("b a", "c"), ("f", None)]


def some_goldens() -> list[dict[str, Any]]:
    tokenizer = make_tokenizer()
    return [record(tokenizer, text, pair) for text, pair in TEXTS]


def compared(goldens: list[dict[str, Any]], session: MadeSession) -> list[str]:
    return compare_goldens(goldens, with_length(make_tokenizer(), LENGTH), None, session, LENGTH)


def test_each_golden_that_does_not_come_out_is_named_by_its_number() -> None:
    goldens = some_goldens()
    goldens[0]["input_ids"] = [2, 4, 3]
    goldens[2]["logits"] = [9.0, 9.0, 9.0]
    session = MadeSession()
    failures = compared(goldens, session)
    assert failures[0] == "golden 1: tokenizer.json gives other input_ids"
    assert failures[1].startswith("golden 3: logits differ by ")
    assert len(failures) == 2
    assert session.asked == [golden["input_ids"] for golden in goldens[1:]]  # wrong ids are not run


def test_logits_of_another_shape_fail_alone() -> None:
    goldens = some_goldens()
    goldens[1]["logits"] = [1.0]
    assert compared(goldens, MadeSession()) == ["golden 2: logits have shape (3,), not (1,)"]


def test_small_errors_in_every_golden_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compared(some_goldens(), MadeSession(factor=1.005)) == []
    goldens = some_goldens()[:1]
    goldens[0]["logits"] = [8.0, 0.0, 0.0]
    monkeypatch.setattr(MadeSession, "run", lambda *_: np.array([[9.0, 0.0, 0.0]]))
    assert compared(goldens, MadeSession()) == [
        "the logits' relative error over all goldens is 0.125; at most 0.05 is allowed"
    ]
    monkeypatch.setattr(goldens_module, "CLOSENESS", 0.125)
    assert compared(goldens, MadeSession()) == []


def test_a_number_that_is_none_does_not_come_out() -> None:
    assert len(compared(some_goldens(), MadeSession(off=float("nan")))) == len(TEXTS)


@pytest.mark.parametrize(("error", "fails"), [(0.05, False), (5.0, True)])
def test_a_text_of_small_logits_is_held_to_what_the_others_have(
    error: float, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    goldens = some_goldens()
    ids, run = goldens[0]["input_ids"], MadeSession.run
    goldens[0]["logits"] = [0.001, 0.0, -0.001]
    small = np.array([[0.001 + error, 0.0, -0.001]])
    monkeypatch.setattr(
        MadeSession, "run", lambda s, given: small if [*given["input_ids"][0]] == ids else run(s, given)
    )
    failures = compared(goldens, MadeSession())
    assert [failure.startswith("golden 1: logits differ by 5, at most ") for failure in failures] == [True] * fails


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input_ids", [2, 4, 4, 3]),
        ("token_type_ids", [0, 0, 0, 1]),
        ("attention_mask", [1, 1, 1, 0]),
        ("offsets_utf16", [[0, 0], [0, 1], [2, 4], [0, 0]]),
        ("offsets_codepoint", [[0, 0], [0, 1], [2, 4], [0, 0]]),
    ],
)
def test_tokens_that_the_tokenizer_gives_otherwise_are_named(name: str, value: Any) -> None:
    tokenizer, golden = make_tokenizer(), record(make_tokenizer(), "a b", None)
    assert token_failure(golden, tokenizer, None, LENGTH) is None
    assert token_failure({**golden, name: value}, tokenizer, None, LENGTH) == f"tokenizer.json gives other {name}"


@dataclass
class MadeReader:
    """Of a `tokenizer.bin` that gives `encoding`, whatever the text."""

    encoding: Encoding
    asked: list[tuple[Any, ...]] = field(default_factory=list)

    def encode(self, *text: Any) -> Encoding:
        self.asked.append(text)
        return self.encoding


@pytest.mark.parametrize("pair", [None, "c"])
def test_tokens_that_the_asset_gives_otherwise_are_named(pair: str | None) -> None:
    tokenizer, golden = make_tokenizer(), record(make_tokenizer(), "a b", pair)
    names = ("input_ids", "token_type_ids", "offsets_codepoint", "offsets_utf16")
    spans = {name: [tuple(v) if isinstance(v, list) else v for v in golden[name]] for name in names}
    right = Encoding(**spans, sequences=[])  # type: ignore[arg-type]
    reader = MadeReader(right)
    assert token_failure(golden, tokenizer, reader, LENGTH) is None  # type: ignore[arg-type]
    assert reader.asked == [("a b", pair, LENGTH)]
    for name in names:
        wrong = MadeReader(replace(right, **{name: getattr(right, name)[:-1]}))
        failure = token_failure(golden, tokenizer, wrong, LENGTH)  # type: ignore[arg-type]
        assert failure == f"{ASSET_NAME} gives other {name}"


def test_a_tokenizer_that_fails_on_a_golden_is_the_bundles_fault() -> None:
    class Broken:
        def encode(self, *_: Any) -> None:
            raise BaseException("called `Option::unwrap()`")

    golden = record(make_tokenizer(), "a b", None)
    with pytest.raises(InputError, match=r"^tokenizer\.json fails on a golden's text: BaseException: called"):
        token_failure(golden, Broken(), None, LENGTH)  # type: ignore[arg-type]


def far_path(folder: Path) -> Path:
    """A path too long for a message."""
    path = folder / ("n" * 150) / ("m" * 150)
    path.parent.mkdir()
    return path


def test_a_golden_file_is_read_line_by_line(tmp_path: Path) -> None:
    path, golden = far_path(tmp_path), record(make_tokenizer(), "a", None)
    line = json.dumps({**golden, "newer": 1}) + "\n"
    path.write_text(line * 1_000)
    assert list(read_goldens(path)) == [golden] * 1_000
    where = bare(str(path), 200)
    for content, message in (
        (line * 1_001, f"{where}: holds 1,001 goldens; at most 1000 are run"),
        ("", f"{where}: holds no goldens; build the bundle again"),
        ("\n\n", f"{where}: holds no goldens; build the bundle again"),
    ):
        path.write_text(content)
        with pytest.raises(InputError) as error:
            list(read_goldens(path))
        assert str(error.value) == message
    near = tmp_path / GOLDEN_NAME
    near.write_text(line + line.replace('"text": "a"', '"text": 3'))
    with pytest.raises(InputError) as error:
        list(read_goldens(near))
    assert str(error.value).startswith(f"{near}: golden 2: text: Input should be a valid string")


@pytest.mark.parametrize(
    "change",
    [
        {"input_ids": [-1]}, {"input_ids": [1 << 31]}, {"input_ids": []}, {"input_ids": ["1"]}, {"input_ids": 1},
        {"offsets_utf16": [[0]]}, {"offsets_utf16": [[0, 1, 2]]}, {"offsets_codepoint": [[0, -1]]},
        {"logits": [float("nan")]}, {"logits": [[float("inf")]]}, {"logits": 1.0}, {"label": 0}, {"text": None},
    ],
)  # fmt: skip
def test_a_golden_of_another_shape_is_damaged(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / GOLDEN_NAME
    path.write_text(json.dumps({**record(make_tokenizer(), "a", None), **change}))
    with pytest.raises(InputError) as error:
        list(read_goldens(path))
    assert str(error.value).startswith(f"{path}: golden 1: {next(iter(change))}")


def test_a_tokenizer_that_does_not_load_is_named(tmp_path: Path) -> None:
    path = far_path(tmp_path)
    path.write_text("[]")
    with pytest.raises(InputError) as error:
        load_tokenizer(path)
    assert str(error.value).startswith(f"{bare(str(path), 200)}: tokenizer does not load: is ")
    path.write_text(make_tokenizer().to_str())
    assert load_tokenizer(path).encode("a").ids == [2, 4, 3]


def test_a_bundles_goldens_are_run_from_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session, loaded = MadeSession(), []

    def load(*args: Any, **kwargs: Any) -> MadeSession:
        loaded.append((args, kwargs))
        return session

    monkeypatch.setattr(goldens_module, "load", load)
    tokenizer = make_tokenizer()
    (tmp_path / "tokenizer.json").write_text(tokenizer.to_str())
    count = write_goldens(tmp_path / GOLDEN_NAME, tokenizer, MadeSession(), TASKS[False], LENGTH, TEXTS)
    assert check_goldens(tmp_path, TARGET, LENGTH) == []  # without an asset
    assert loaded == [((tmp_path / TARGET.file, TARGET), {"threads": 1})]
    assert len(session.asked) == count
    (tmp_path / ASSET_NAME).write_bytes(b"asset")
    reader = MadeReader(Encoding([], [], [], [], []))
    monkeypatch.setattr(goldens_module, "read_tokenizer_asset", {b"asset": reader}.get)
    failures = check_goldens(tmp_path, TARGET, LENGTH)
    assert failures == [f"golden {n}: {ASSET_NAME} gives other input_ids" for n in range(1, count + 1)]
    assert {asked[2] for asked in reader.asked} == {LENGTH}


def test_goldens_without_a_bundle_were_not_run() -> None:
    assert golden_check(None) == Check(
        name="goldens", status="not_run", limit=0, reason="no bundle was there to check them in"
    )
    assert golden_check([]) == Check(name="goldens", status="passed", value=0, limit=0, reason="all come out again")
    assert golden_check(["golden 1: x"]) == Check(
        name="goldens", status="failed", value=1, limit=0, reason="golden 1: x"
    )
