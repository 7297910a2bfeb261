"""Long texts in windows as Python splits and combines them, for the apps to be compared with.

    python -m tests.apps.long_texts TOKENIZER_FOLDER OUT.jsonl [COUNT]

A line has `text`, perhaps `pair`, `max_length`, `overlap`, `combine`, `columns` (labels), the whole text's `input_ids`,
`token_type_ids` and `offsets_utf16`; `windows`, first token and end of each (one window: a short text); `inputs`, the
ids that the model gets of each; `found`, made up logits of each, flat; and `logits`, what they are together, flat.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from edgepack.bundle.goldens import read_text
from edgepack.task.long_texts import one_text, split
from edgepack.task.windows import Combine, Windows, part_of
from edgepack.tokenizer.reader import read_tokenizer_asset
from tests.apps.fuzz import fuzzed

COLUMNS = 3
LENGTHS = (8, 9, 16, 31, 64)


def window_lines(folder: Path, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Fuzzed texts and pairs, some short and most long, with made up logits."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    reader = read_tokenizer_asset((folder / "tokenizer.bin").read_bytes())
    drawn = np.random.default_rng(seed)
    for sample in fuzzed(tokenizer, max(LENGTHS), count, seed):
        length = int(drawn.choice(LENGTHS))
        ways: tuple[Combine, ...] = ("mean", "max") if sample.pair is not None else ("inner", "mean", "max")
        windows = Windows(length, int(drawn.integers(0, length // 2 + 1)), ways[int(drawn.integers(len(ways)))])
        text, pair = sample.text * int(drawn.integers(1, 4)), sample.pair
        if pair is not None and drawn.random() < 0.5:
            text, pair = pair, text
        encoding = read_text(reader, text, pair, windows)
        part = part_of(encoding.sequences)
        whole = one_text(encoding.input_ids, encoding.token_type_ids, windows, part)
        pieces = split(whole).pieces
        found = drawn.normal(size=(len(pieces.input_ids if windows.combine == "inner" else pieces), COLUMNS))
        rows = np.round(found, 4).astype(np.float32)
        of_each = np.split(rows, pieces.offsets[1:-1] if windows.combine == "inner" else len(pieces))[: len(pieces)]
        yield {
            "text": text,
            **({} if pair is None else {"pair": pair}),
            "max_length": length,
            "overlap": windows.overlap,
            "combine": windows.combine,
            "columns": COLUMNS,
            "input_ids": encoding.input_ids,
            "token_type_ids": encoding.token_type_ids,
            "offsets_utf16": [list(span) for span in encoding.offsets_utf16],
            "windows": [list(span) for span in windows.spans(len(encoding.input_ids), part)],
            "inputs": [pieces.input_ids[pieces.rows([i])].tolist() for i in range(len(pieces))],
            "found": [np.round(each.astype(float), 4).ravel().tolist() for each in of_each],
            "logits": np.round(split(whole).joined(rows).astype(float), 5).ravel().tolist(),
        }


def write_windows(folder: Path, out: Path, count: int, seed: int) -> Path:
    """Write the lines; both short texts and long ones are among them, in every way of combining."""
    lines = list(window_lines(folder, count, seed))
    assert {(line["combine"], len(line["windows"]) > 1) for line in lines} == {
        (way, long) for way in ("inner", "mean", "max") for long in (True, False)
    }
    assert any(len(line["windows"]) > 4 for line in lines)
    assert any("pair" in line and len(line["windows"]) > 1 for line in lines)
    out.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines), encoding="ascii")
    return out


if __name__ == "__main__":
    print(write_windows(Path(sys.argv[1]), Path(sys.argv[2]), int((sys.argv[3:] or ["1000"])[0]), seed=0))
