"""The processes of `tokenizer_assets.py` in Python: the reference on an asset, or Hugging Face's on a tokenizer.json.

    python -m benchmarks.tokenizer_host KIND FILE TEXTS LENGTH

Prints the milliseconds to load, then for each line on standard input its nanoseconds, how many tokens there were and
the sum of their ids, as `TokenizerBenchmark.kt` does. Imports nothing else, so that its memory is the tokenizer's.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tokenizers import Tokenizer

from edgepack.tokenizer.reader import read_tokenizer_asset


def serve(kind: str, file: str, texts: str, max_length: int) -> None:
    """Be a host: the Python reference on an asset, or Hugging Face's tokenizer on a tokenizer.json."""
    started = time.perf_counter()
    if kind == "library":
        library = Tokenizer.from_file(file)
        library.no_padding()
        library.enable_truncation(max_length)

        def encode(text: str) -> list[int]:
            ids: list[int] = library.encode(text).ids
            return ids
    else:
        reader = read_tokenizer_asset(Path(file).read_bytes())

        def encode(text: str) -> list[int]:
            return list(reader.encode(text, max_length=max_length).input_ids)

    print((time.perf_counter() - started) * 1e3, flush=True)
    lines = Path(texts).read_text(encoding="utf-8").split("\n")[:-1]
    for _ in sys.stdin:
        begun = time.perf_counter_ns()
        tokens = total = 0
        for line in lines:
            ids = encode(line)
            tokens, total = tokens + len(ids), total + sum(ids)
        print(time.perf_counter_ns() - begun, tokens, total, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
