"""What a trimmed vocabulary costs texts that it was not trimmed for: how many more tokens they take.

    python -m benchmarks trimming --shared ../shared

Each vocabulary is cut to what the training texts use, the smallest that a plan may choose, and then tokenizes those
texts and others. Prints a table, then one JSON line. A minute or two.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerFast

from benchmarks.tables import markdown_table
from benchmarks.tokenizer_assets import KINDS
from edgepack.compress.vocabulary import choose_ids, general_order, required_ids, trim_tokenizer
from edgepack.tokenizer.library import encode_texts

TEXTS = 10_000  # of each kind at most
HEADER = ("vocabulary", "tokens", "kept", "texts", "of them tokenized otherwise", "more tokens")
Texts = dict[str, list[str]]


@dataclass(frozen=True)
class Cost:
    """Of one vocabulary on one kind of texts: shares of texts and of tokens; `unknown`: tokens that became unknown."""

    vocabulary: str
    tokens: int
    kept: int
    texts: str
    different: float
    more: float
    unknown: int

    def row(self) -> tuple[str, ...]:
        """In the table."""
        numbers = f"{self.tokens:,}", f"{self.kept:,}"
        return self.vocabulary, *numbers, self.texts, f"{self.different:.1%}", f"{self.more:.2%}"


def english(shared: Path) -> Texts:
    """Reviews to train on and others, comments, an encyclopedia."""
    reviews = column(shared / "data" / "sst2" / "train.tsv")
    return {
        "SST-2, every second training phrase: used": reviews[::2],
        "SST-2, dev sentences": column(shared / "data" / "sst2" / "dev.tsv"),
        "GoEmotions, comments": column(shared / "data" / "goemotions" / "train.tsv"),
        "Wikipedia, sentences": lines(shared / "data" / "text" / "wiki-sentences.txt"),
    }


def german(shared: Path) -> Texts:
    """Posts to train on and others, an encyclopedia."""
    posts, questions = shared / "data" / "xlmt-sentiment" / "german", shared / "data" / "qa-xquad" / "de.jsonl"
    rows = [json.loads(line) for line in lines(questions)]
    return {
        "XLM-T German, training posts: used": column(posts / "train.tsv"),
        "XLM-T German, dev posts": column(posts / "dev.tsv"),
        "XQuAD German, passages": list(dict.fromkeys(row["context"] for row in rows)),
    }


CASES = {"wordpiece": english, "byte-pairs": english, "unigram-albert": german}


def column(table: Path) -> list[str]:
    """The texts of a table that names them, or has them first."""
    header, *rows = (line.split("\t") for line in lines(table))
    place = next((header.index(name) for name in ("text", "sentence") if name in header), 0)
    return [row[place] for row in rows]


def lines(path: Path) -> list[str]:
    """A file's lines that are not blank."""
    return [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


def costs(name: str, tokenizer: PreTrainedTokenizerFast, texts: Texts) -> list[Cost]:
    """Of each kind of texts; the vocabulary is cut to the first kind."""
    whole = {kind: encoded(tokenizer, each[:TEXTS]) for kind, each in texts.items()}
    used = next(iter(whole.values()))
    counts = np.bincount([number for ids in used for number in ids], minlength=len(tokenizer))
    required = required_ids(tokenizer, counts)
    kept, _ = choose_ids(tokenizer, required, general_order(tokenizer, None), len(required))
    trimmed, found = trim_tokenizer(tokenizer, kept), []
    for kind, before in whole.items():
        after = [[kept[number] for number in ids] for ids in encoded(trimmed, texts[kind][:TEXTS])]
        different = sum(one != other for one, other in zip(before, after, strict=True))
        sums = [sum(map(len, each)) for each in (before, after)]
        unknown = [sum(ids.count(tokenizer.unk_token_id) for ids in each) for each in (before, after)]
        shares = different / len(before), sums[1] / sums[0] - 1
        found.append(Cost(name, len(tokenizer), len(kept), kind, *shares, unknown[1] - unknown[0]))
    return found


def encoded(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> list[list[int]]:
    """The ids of each text, without special tokens."""
    backend = tokenizer.backend_tokenizer
    return [each.ids for batch in encode_texts(backend, texts, "texts", special_tokens=False) for each in batch]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    shared: Path = parser.parse_args(arguments).shared
    found: list[Cost] = []
    for name, texts in CASES.items():
        title, read = KINDS[name]
        backend = read(shared)
        backend.no_padding()
        backend.no_truncation()
        unknown = json.loads(backend.to_str())["model"].get("unk_token") or "<unk>"
        special = {"unk_token": unknown} if backend.token_to_id(unknown) is not None else {}
        found += costs(title, PreTrainedTokenizerFast(tokenizer_object=backend, **special), texts(shared))
    print(markdown_table([HEADER, *(cost.row() for cost in found)]))
    print(json.dumps([asdict(cost) for cost in found], ensure_ascii=False))


if __name__ == "__main__":
    main()
