"""Golden vectors: texts with the ids, offsets and logits that every implementation must give.

`golden.jsonl` holds a JSON object a line: `text`, optional `pair`, `input_ids`, `token_type_ids`,
`attention_mask`, `offsets_utf16`, `offsets_codepoint`, `logits` (for tokens: a row each), `label` (for tokens: a list;
of label sets `labels` instead, a list that may be empty; of scores `score`, the number that is shown; of a text that
is embedded the logits are its vector, and there is no label). With a chain of tags there is `chained` besides: the
tags that it decides for all tokens, as if each were a word. A text that is read in windows is there whole, with their
logits combined, and has `windows`: first token and end of each, in the part of the ids that is cut into windows.
The task's own sentences come first, then a fixed set of hard Unicode, long words, special-token literals,
blank strings and texts around the maximum length. Ids are the Hugging Face fast tokenizer's, logits those of the
artifact in its own runtime at batch 1, to four decimals.

Ids and offsets must be equal everywhere. Logits may differ between CPUs: a sum of another order can tip an activation
over a rounding step. Over all goldens together the relative error may be 5 %, as parity's (`evidence/forms.py`), since
errors of that kind have no common sign. A golden may differ by three times as much, 15 %, of its own largest logit or
of the root mean square over all goldens, whichever is more: a rounding step weighs the same where the logits of a text
cancel out. Measured between torch and the runtimes, the same formula: 11 % of a text's largest logit. Measured between
ONNX Runtime on x86 and in a browser, of 87 goldens with a root mean square of 2.1: at most 0.065 for all but one, which
was 23 % of the largest logit of a text that the model makes nothing of, and 0.11 for that one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat
from tokenizers import Tokenizer

from edgepack.bounded import check_count
from edgepack.bundle.manifest import parse_model, read_bounded
from edgepack.bundle.verdict import Check, faults_check
from edgepack.errors import InputError, bare
from edgepack.runtime import Session, load
from edgepack.runtime.predict import predict_session
from edgepack.target import Target
from edgepack.task.encoded import MODEL_INPUTS
from edgepack.task.long_texts import one_text
from edgepack.task.task import Task
from edgepack.task.tokenize import whole_text
from edgepack.task.windows import Longest, Windows, part_of
from edgepack.tokenizer.asset import ASSET_NAME, JSON_ASSET_NAME
from edgepack.tokenizer.library import read_tokenizer, tokenizers_as_input_errors
from edgepack.tokenizer.reader import AssetTokenizer, Encoding, read_tokenizer_asset, utf16_index

GOLDEN_NAME = "golden.jsonl"
TASK_TEXTS = 32  # of the task's own sentences
LONG = 2  # times the maximum length, of a text that windows read
DECIMALS = 4
TOLERANCE = 0.15  # of the text's largest logit, or of the root mean square over all goldens where that is more
CLOSENESS = 0.05  # relative error over all goldens
MOST_GOLDENS = 1_000  # a bundle has about ninety

Text = tuple[str, str | None]

Id = Annotated[int, Field(ge=0, lt=1 << 31)]
Span = Annotated[list[Id], Field(min_length=2, max_length=2)]


class Golden(BaseModel):
    """The shape of a golden: what has another one is damaged."""

    model_config = ConfigDict(strict=True)

    text: str
    pair: str | None = None
    input_ids: Annotated[list[Id], Field(min_length=1)]
    token_type_ids: list[Id]
    attention_mask: list[Id]
    offsets_utf16: list[Span]
    offsets_codepoint: list[Span]
    logits: list[FiniteFloat] | list[list[FiniteFloat]]
    label: str | list[str] | None = None
    chained: list[str] | None = None
    score: FiniteFloat | None = None
    labels: list[str] | None = None
    windows: Annotated[list[Span], Field(min_length=2)] | None = None


HARD_TEXTS = (
    "café naïve Ångström",  # composed
    "cafe\u0301 nai\u0308ve A\u030angstro\u0308m",  # decomposed
    "a\u0323\u0307 a\u0307\u0323 q\u0307\u0323",  # marks in either order
    "İstanbul ıssız İI ıi",
    "Straße STRASSE ẞ",
    "ΟΔΥΣΣΕΥΣ σοφός Σ",
    "が か\u3099 パ ハ\u309a ｶﾞ",  # kana with dakuten: composed, combining, half width
    "한국어 한 각",  # syllables, and the last two as jamo follow
    "\u1112\u1161\u11ab \u1100\u1161\u11a8",
    "中文 分词 test中文test",
    "a𠀀b 𪚥",  # Extension B
    "豈 更 \uf900 \U0002f800",  # compatibility ideographs
    "👨‍👩‍👧‍👦 👩🏽‍🚀 👍🏿 🇫🇷🇯🇵 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "☺\ufe0f ☺\ufe0e 葛\U000e0100",  # variation selectors
    "a\x00b\x01c\x7fd\x85e\ufffdf",  # controls, replacement character
    "zero\u200bwidth\u200c\u200djoin\u2060\ufeffer so\u00adft",
    "no\u00a0break\u202fnarrow\u3000ideographic\u2003em",
    "line\u2028separator\u2029paragraph\r\nnew\ttab\x0bvt\x0cff",
    "שלום עולם שָׁלוֹם",
    "السلام عليكم مُحَمَّد \u202eabc\u202c",
    "हिन्दी क्षेत्र ज़ \u0958",
    "ภาษาไทย น้ำ กำ",
    "தமிழ் കേരളം বাংলা",
    "𝐀𝑏𝒞 𝟘𝟙 ℝ ℵ",  # mathematical letters
    "ﬁne ﬂow oﬃce ĳ ǆ",  # ligatures
    "Ｆｕｌｌ ｗｉｄｔｈ １２３！",
    "½ ² ³ ™ № ℃ …",
    "don't “quote” ‘x’ — – - _ ¿qué? ¡sí!",
    "$100 €5 £3 ^ ` ~ | < > = +",
    "e-mail@example.com https://example.com/a?b=c#d",
    "Ω Ω K Å ; `",  # singletons: ohm, kelvin, angstrom, Greek question mark, varia
    "\u0301leading mark \u0338\u0301",
    "\ue000private \U000f0000use \u0378unassigned",
    "a" * 99,
    "a" * 100,
    "a" * 101,
    "é" * 100,
    "e\u0301" * 100,
    "x" * 101 + " after",
    "[CLS] [SEP] [MASK] [PAD] [UNK]",
    "the [MASK] is[SEP]here",
    "[cls] [ CLS ] [MASK",
    "<s> </s> <mask> <pad> <unk>",
    "##ing ## # a##b",
    "",
    " ",
    "\t\n\r ",
    "\u200b",
    "\u00a0\u3000",
    ".",
    "A",
)


def write_goldens(
    path: Path,
    tokenizer: Tokenizer,
    session: Session,
    task: Task,
    longest: Longest,
    texts: Sequence[Text],
) -> int:
    """Write `golden.jsonl` from the artifact's own runtime; return how many there are.

    `texts` are the task's sentences; where they are pairs, the hard texts become pairs too. Label sets,
    scores and chains of tags are decided from the logits as they are written.
    """
    reference = with_length(tokenizer, longest)
    lines = []
    for text, pair in golden_texts(texts, reference, longest):
        golden = tokenize(reference, text, pair, longest)
        logits = run_golden(session, golden, longest)
        golden["logits"] = np.round(logits.astype(np.float64), DECIMALS).tolist()
        golden |= answered(task, logits, np.array(golden["logits"]))
        lines.append(json.dumps(golden, separators=(",", ":")) + "\n")
    path.write_bytes("".join(lines).encode())
    return len(lines)


def answered(task: Task, logits: np.ndarray, written: np.ndarray) -> dict[str, Any]:
    """What logits, also as they are `written`, answer: a label, those of a set, a score; of a vector nothing."""
    if task.embeds:
        return {}
    if task.is_score:
        return {"score": round(float(task.decide(written)), DECIMALS)}
    if task.is_multi_label:
        return {"labels": list(task.names(task.decide(written)))}
    names = task.names(logits.argmax(axis=-1))
    if not task.is_tagging:
        return {"label": names[0]}
    found = {"label": list(names)}
    if task.chain is not None:
        found["chained"] = list(task.names(task.decide(task.read_words(written))))
    return found


def golden_texts(texts: Sequence[Text], tokenizer: Tokenizer, longest: Longest) -> list[Text]:
    """The task's texts, the hard ones, and ones a token below, at, above and far above the maximum.

    Where windows read long texts, also one of many different words, and of pairs each that is cut in another way.
    """
    task = list(texts[:TASK_TEXTS])
    max_length = longest.length if isinstance(longest, Windows) else longest
    room = max_length - tokenizer.num_special_tokens_to_add(False)
    around = [" ".join(["a"] * max(1, room + extra)) for extra in (-1, 0, 1, 50)]
    varied = [varied_text(tokenizer, LONG * max_length)] if isinstance(longest, Windows) else []
    hard = [*HARD_TEXTS, *around]
    if not task or task[0][1] is None:
        return task + [(text, None) for text in [*hard, *varied]]
    long = [(around[-1], "a"), ("a", around[-1]), *((text, HARD_TEXTS[0]) for text in varied)]
    return task + list(zip(hard, [*hard[1:], hard[0]], strict=True)) + long + [(text, text) for text in varied]


def varied_text(tokenizer: Tokenizer, count: int) -> str:
    """A text of about `count` tokens, of the hard texts' words."""
    words = " ".join(text for text in HARD_TEXTS if text.strip()).split(" ")
    text = " ".join(words[i % len(words)] for i in range(count))
    ends = [end for _, end in tokenizer.encode(text, add_special_tokens=False).offsets[:count]]
    return text[: max(ends, default=0)]


def with_length(tokenizer: Tokenizer, longest: Longest) -> Tokenizer:
    """A copy that truncates to so many tokens, the longer text first, and does not pad; none truncates for windows."""
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_padding()
    if isinstance(longest, Windows):
        copy.no_truncation()
    else:
        copy.enable_truncation(longest)
    return copy


def tokenize(tokenizer: Tokenizer, text: str, pair: str | None, longest: Longest | None = None) -> dict[str, Any]:
    """The tokenizer's half of a golden vector; `longest`: the windows, where they are what reads it."""
    encoding: Any = tokenizer.encode(text, pair)
    spans = {}
    if isinstance(longest, Windows):
        encoding = whole_text(encoding, longest)
        if len(encoding.ids) > longest.length:
            spans = {"windows": [list(s) for s in longest.spans(len(encoding.ids), part_of(encoding.sequence_ids))]}
    index = [utf16_index(text), utf16_index(pair or "")]
    sequences = [sequence or 0 for sequence in encoding.sequence_ids]
    utf16 = [
        [index[sequence][start], index[sequence][end]]
        for sequence, (start, end) in zip(sequences, encoding.offsets, strict=True)
    ]
    return {
        "text": text,
        **({} if pair is None else {"pair": pair}),
        "input_ids": encoding.ids,
        "token_type_ids": encoding.type_ids,
        "attention_mask": [1] * len(encoding.ids),
        "offsets_utf16": utf16,
        "offsets_codepoint": [list(offset) for offset in encoding.offsets],
        **spans,
    }


def run_golden(session: Session, golden: dict[str, Any], longest: Longest | None = None) -> np.ndarray:
    """Logits of one golden: `(C,)` or `(seq, C)`; `longest`: the windows, where there are some."""
    if isinstance(longest, Windows) and "windows" in golden:
        part = (golden["windows"][0][0], golden["windows"][-1][1])
        whole = one_text(golden["input_ids"], golden["token_type_ids"], longest, part)
        flat = predict_session(session, whole)
        return flat if len(flat) > 1 else flat[0]
    return session.run({name: np.asarray([golden[name]], dtype=np.int64) for name in MODEL_INPUTS})[0]


def check_goldens(folder: Path, target: Target, longest: Longest) -> list[str]:
    """Run every golden of a bundle again through tokenizer, asset and artifact; one line for each failure."""
    tokenizer, asset = load_tokenizer(folder / JSON_ASSET_NAME), folder / ASSET_NAME
    reader = read_tokenizer_asset(asset.read_bytes()) if asset.is_file() else None
    goldens, session = list(read_goldens(folder / GOLDEN_NAME)), load(folder / target.file, target, threads=1)
    return compare_goldens(goldens, with_length(tokenizer, longest), reader, session, longest)


def compare_goldens(
    goldens: Sequence[dict[str, Any]],
    tokenizer: Tokenizer,
    reader: AssetTokenizer | None,
    session: Session,
    longest: Longest,
) -> list[str]:
    """One line for each golden that does not come out again; `tokenizer` truncates as `longest` says."""
    failures: list[str] = []
    compared: list[tuple[np.ndarray, np.ndarray]] = []
    usual = root_mean_square([golden["logits"] for golden in goldens])
    for number, golden in enumerate(goldens, start=1):
        failure = token_failure(golden, tokenizer, reader, longest)
        if failure is None:
            expected, logits = np.asarray(golden["logits"], dtype=np.float64), run_golden(session, golden, longest)
            failure = logits_failure(logits, expected, usual)
            if expected.shape == logits.shape:
                compared.append((logits, expected))
        if failure:
            failures.append(f"golden {number}: {failure}")
    error = relative_error(compared)
    if not failures and not error <= CLOSENESS:  # NaN is not
        failures.append(f"the logits' relative error over all goldens is {error:.4g}; at most {CLOSENESS} is allowed")
    return failures


def relative_error(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> float:
    """‖a − b‖ / ‖b‖ over all pairs of logits together, the second of each being right."""
    difference = size = 0.0
    for logits, expected in pairs:
        difference += float(np.square(logits - expected).sum())
        size += float(np.square(expected).sum())
    return float((difference / max(size, 10**-DECIMALS)) ** 0.5)


def token_failure(
    golden: dict[str, Any], tokenizer: Tokenizer, reader: AssetTokenizer | None, longest: Longest
) -> str | None:
    """Which ids or offsets of one golden do not come out again, if any."""
    text, pair = golden["text"], golden.get("pair")
    with tokenizers_as_input_errors("tokenizer.json fails on a golden's text"):
        tokens = tokenize(tokenizer, text, pair, longest)
    for name, value in {"windows": None, **tokens}.items():
        if golden.get(name) != value:
            return f"tokenizer.json gives other {name}"
    if reader is not None:
        encoding = read_text(reader, text, pair, longest)
        for name in ("input_ids", "token_type_ids", "offsets_codepoint", "offsets_utf16"):
            if [list(v) if isinstance(v, tuple) else v for v in getattr(encoding, name)] != golden[name]:
                return f"{ASSET_NAME} gives other {name}"
    return None


def read_text(reader: AssetTokenizer, text: str, pair: str | None, longest: Longest) -> Encoding:
    """A text by the tokenizer's file, as the model reads it."""
    if isinstance(longest, Windows):
        return reader.encode(text, pair, longest.length, whole=True)
    return reader.encode(text, pair, longest)


def root_mean_square(logits: Iterable[Any]) -> float:
    """How large a logit of these goldens usually is; their logits have `(C,)` or `(seq, C)` numbers each."""
    values = [np.ravel(each) for each in logits]
    return float(np.sqrt(np.mean(np.square(np.concatenate(values))))) if values else 0.0


def logits_failure(logits: np.ndarray, expected: np.ndarray, usual: float) -> str | None:
    """How one golden's logits differ from the recorded ones, where they do by more than CPUs differ.

    `usual`: the root mean square of all goldens' logits.
    """
    if expected.shape != logits.shape:
        return f"logits have shape {logits.shape}, not {expected.shape}"
    error = float(np.abs(logits - expected).max())
    limit = max(TOLERANCE * max(float(np.abs(expected).max()), usual), 10**-DECIMALS)
    return None if error <= limit else f"logits differ by {error:.4g}, at most {limit:.4g} allowed"


def read_goldens(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a golden file; `InputError` where it has none, or one is no golden."""
    data = read_bounded(path)
    try:
        check_count(data)
    except ValueError as e:
        raise InputError(f"{bare(str(path), 200)}: {e}; build the bundle again") from e
    lines = data.splitlines()
    if len(lines) > MOST_GOLDENS:
        raise InputError(f"{bare(str(path), 200)}: holds {len(lines):,} goldens; at most {MOST_GOLDENS} are run")
    if not any(lines):
        raise InputError(f"{bare(str(path), 200)}: holds no goldens; build the bundle again")
    for number, line in enumerate(lines, start=1):
        yield parse_model(line, Golden, f"{path}: golden {number}").model_dump(exclude_none=True)


def load_tokenizer(path: Path) -> Tokenizer:
    """A tokenizer.json."""
    return read_tokenizer(path, f"{bare(str(path), 200)}: tokenizer does not load")


def golden_check(failures: Sequence[str] | None) -> Check:
    """The outcome of `check_goldens` as a check."""
    if failures is None:
        return Check(name="goldens", status="not_run", limit=0, reason="no bundle was there to check them in")
    return faults_check("goldens", failures, "all come out again")
