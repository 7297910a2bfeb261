"""Golden vectors: texts with the ids, offsets and logits that every implementation must give.

`golden.jsonl` holds a JSON object a line: `text`, optional `pair`, `input_ids`, `token_type_ids`,
`attention_mask`, `offsets_utf16`, `offsets_codepoint`, `logits` (for tokens: a row each), `label` (for tokens: a list).
The task's own sentences come first, then a fixed set of hard Unicode, long words, special-token literals,
blank strings and texts around the maximum length. Ids are the Hugging Face fast tokenizer's, logits those of the
artifact in its own runtime at batch 1, to four decimals.

Ids and offsets must be equal everywhere. Logits may differ between CPUs: a sum of another order can tip an activation
over a rounding step. Between torch and the runtimes, the same formula, the largest difference measured was 11 % of a
text's largest logit, so 15 % is allowed. Parity over the evaluation set (`evidence/forms.py`) is the sharper test.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from edgepack.bundle.verdict import Check
from edgepack.errors import InputError
from edgepack.runtime import Session, load
from edgepack.rust_tokenizer import read_tokenizer, tokenizers_as_input_errors
from edgepack.target import Target
from edgepack.tokenizer.asset import ASSET_NAME
from edgepack.tokenizer.reader import WordPiece, read_tokenizer_asset, utf16_index

GOLDEN_NAME = "golden.jsonl"
TASK_TEXTS = 32  # of the task's own sentences
DECIMALS = 4
TOLERANCE = 0.15  # of the text's largest logit
SHOWN_FAILURES = 5

Text = tuple[str, str | None]

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
    labels: Sequence[str],
    max_length: int,
    texts: Sequence[Text],
) -> int:
    """Write `golden.jsonl` from the artifact's own runtime; return how many there are.

    `texts` are the task's sentences; where they are pairs, the hard texts become pairs too.
    """
    reference = with_length(tokenizer, max_length)
    lines = []
    for text, pair in golden_texts(texts, reference, max_length):
        golden = tokenize(reference, text, pair)
        logits = run_golden(session, golden)
        golden["logits"] = np.round(logits.astype(np.float64), DECIMALS).tolist()
        decided = logits.argmax(axis=-1)
        golden["label"] = [labels[i] for i in decided] if decided.ndim else labels[int(decided)]
        lines.append(json.dumps(golden, ensure_ascii=True, separators=(",", ":")))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines)


def golden_texts(texts: Sequence[Text], tokenizer: Tokenizer, max_length: int) -> list[Text]:
    """The task's texts, the hard ones, and ones a token below, at, above and far above the maximum."""
    task = list(texts[:TASK_TEXTS])
    room = max_length - tokenizer.num_special_tokens_to_add(False)
    around = [" ".join(["a"] * max(1, room + extra)) for extra in (-1, 0, 1, 50)]
    hard = [*HARD_TEXTS, *around]
    if not task or task[0][1] is None:
        return task + [(text, None) for text in hard]
    return task + list(zip(hard, [*hard[1:], hard[0]], strict=True)) + [(around[-1], "a"), ("a", around[-1])]


def with_length(tokenizer: Tokenizer, max_length: int) -> Tokenizer:
    """A copy that truncates to `max_length`, the longer text first, and does not pad."""
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_padding()
    copy.enable_truncation(max_length)
    return copy


def tokenize(tokenizer: Tokenizer, text: str, pair: str | None) -> dict[str, Any]:
    """The tokenizer's half of a golden vector."""
    encoding = tokenizer.encode(text, pair)
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
    }


def run_golden(session: Session, golden: dict[str, Any]) -> np.ndarray:
    """Logits of one golden: `(C,)` or `(seq, C)`."""
    names = ("input_ids", "attention_mask", "token_type_ids")
    return session.run({name: np.asarray([golden[name]], dtype=np.int64) for name in names})[0]


def check_goldens(folder: Path, target: Target, max_length: int) -> list[str]:
    """Run every golden of a bundle again through tokenizer, asset and artifact; one line for each failure."""
    tokenizer = with_length(load_tokenizer(folder / "tokenizer.json"), max_length)
    asset = folder / ASSET_NAME
    reader = read_tokenizer_asset(asset.read_bytes()) if asset.is_file() else None
    session = load(folder / target.file, target, threads=1)
    failures: list[str] = []
    count = 0
    for number, golden in enumerate(read_goldens(folder / GOLDEN_NAME), start=1):
        count += 1
        failure = golden_failure(golden, tokenizer, reader, session, max_length)
        if failure:
            failures.append(f"golden {number}: {failure}")
    return failures if count else [f"{GOLDEN_NAME} is empty"]


def golden_failure(
    golden: dict[str, Any], tokenizer: Tokenizer, reader: WordPiece | None, session: Session, max_length: int
) -> str | None:
    """What of one golden does not come out again, if anything."""
    text, pair = golden["text"], golden.get("pair")
    with tokenizers_as_input_errors("tokenizer.json fails on a golden's text"):
        tokens = tokenize(tokenizer, text, pair)
    for name, value in tokens.items():
        if golden[name] != value:
            return f"tokenizer.json gives other {name}"
    if reader is not None:
        encoding = reader.encode(text, pair, max_length)
        for name in ("input_ids", "token_type_ids", "offsets_codepoint", "offsets_utf16"):
            if [list(v) if isinstance(v, tuple) else v for v in getattr(encoding, name)] != golden[name]:
                return f"{ASSET_NAME} gives other {name}"
    expected, logits = np.asarray(golden["logits"], dtype=np.float64), run_golden(session, golden)
    if expected.shape != logits.shape:
        return f"logits have shape {logits.shape}, not {expected.shape}"
    error, limit = float(np.abs(logits - expected).max()), TOLERANCE * float(np.abs(expected).max())
    return None if error <= max(limit, 10**-DECIMALS) else f"logits differ by {error:.4g}, at most {limit:.4g} allowed"


def read_goldens(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a golden file."""
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)
    except (OSError, ValueError) as e:
        raise InputError(f"{path}: goldens do not read ({type(e).__name__}); build the bundle again") from e


def load_tokenizer(path: Path) -> Tokenizer:
    """A tokenizer.json."""
    return read_tokenizer(path, f"{path}: tokenizer does not load")


def summarize(failures: Sequence[str]) -> str:
    """The first failures in one line."""
    rest = len(failures) - SHOWN_FAILURES
    return "; ".join(failures[:SHOWN_FAILURES]) + (f"; and {rest} more" if rest > 0 else "")


def golden_check(failures: Sequence[str] | None) -> Check:
    """The outcome of `check_goldens` as a check."""
    if failures is None:
        return Check(name="goldens", status="not_run", limit=0, reason="no bundle was there to check them in")
    reason = summarize(failures) or "all come out again"
    return Check(name="goldens", status="failed" if failures else "passed", value=len(failures), limit=0, reason=reason)
